"""Block-sparse attention beside its definition over all keys.

Shape letters: B batch, L tokens, H heads, D head dimension, N blocks, Q queries, K keys.
"""

import pytest
import torch
from evertalk_pack.attention import sdpa
from evertalk_pack.attention.block_sparse import BLOCK, attend, routed_blocks
from evertalk_pack.attention.self_test import relative_error


def make_qkv(tokens: int, heads: int = 2, head_dim: int = 32) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    q, k, v = (torch.randn(1, tokens, heads, head_dim, generator=generator) for _ in range(3))
    return q, 2 * k + 1, v


def by_definition(q_QD: torch.Tensor, k_KD: torch.Tensor, v_KD: torch.Tensor, tau: float) -> torch.Tensor:
    """One head, in float64: every key by itself where its block is routed, else as its block's mean."""
    q_QD, k_KD, v_KD = (x.double() for x in (q_QD, k_KD, v_KD))
    q_QD = q_QD / q_QD.shape[-1] ** 0.5
    block_L = torch.arange(len(q_QD)) // BLOCK
    member_NL = (torch.arange(int(block_L.max()) + 1)[:, None] == block_L).double()
    mean_NL = member_NL / member_NL.sum(dim=1, keepdim=True)
    means_q, means_k = mean_NL @ q_QD, mean_NL @ k_KD
    centre = means_k.mean(dim=0)
    scores_NN = means_q @ (means_k - centre).T
    variance_N = (means_q**2 * ((means_k - centre) ** 2).mean(dim=0)).sum(dim=1)
    routed_NN = scores_NN > tau * (variance_N + 1e-6).sqrt()[:, None]
    for block in range(len(routed_NN)):
        routed_NN[block, max(0, block - 1) : block + 2] = True
    exact_QK = routed_NN[block_L][:, block_L]
    scores_QK = q_QD @ (k_KD - centre).T
    pooled_QK = scores_NN[block_L][:, block_L]
    weights_QK = torch.softmax(torch.where(exact_QK, scores_QK, pooled_QK), dim=1)
    means_v_KD = (mean_NL @ v_KD)[block_L]
    kept = weights_QK * exact_QK
    return kept @ v_KD + (weights_QK - kept) @ means_v_KD


@pytest.mark.parametrize("tokens", [5 * BLOCK, 7 * BLOCK + 13, 3 * BLOCK + 1])
@pytest.mark.parametrize("tau", [0.0, 0.8, 3.0])
def test_it_equals_the_definition(tokens: int, tau: float) -> None:
    q, k, v = make_qkv(tokens)
    out = attend(q, k, v, tau)
    for head in range(2):
        expected = by_definition(q[0, :, head], k[0, :, head], v[0, :, head], tau)
        torch.testing.assert_close(out[0, :, head], expected.float(), rtol=1e-4, atol=1e-4)


def test_with_every_block_routed_it_is_exact() -> None:
    q, k, v = make_qkv(6 * BLOCK + 5)
    torch.testing.assert_close(attend(q, k, v, -1e6), sdpa.attend(q, k, v), rtol=1e-4, atol=1e-4)


def test_a_higher_threshold_routes_fewer_blocks_and_errs_more() -> None:
    q, k, v = make_qkv(12 * BLOCK)
    exact = sdpa.attend(q, k, v)
    errors = [relative_error(attend(q, k, v, tau), exact) for tau in (0.0, 1.0, 3.0)]
    assert errors == sorted(errors)
    means = [x[0, :, 0].unflatten(0, (-1, BLOCK)).mean(dim=1) for x in (q / 32**0.5, k)]
    counts = [int(routed_blocks(means[0], means[1] - means[1].mean(dim=0), tau).sum()) for tau in (0, 1, 3)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] >= 12 + 2 * 11, "a block and its neighbours are always routed"


def test_it_keeps_the_dtype_and_its_inputs() -> None:
    qkv = [x.bfloat16() for x in make_qkv(3 * BLOCK)]
    before = [x.clone() for x in qkv]
    assert attend(*qkv, tau=0.3).dtype == torch.bfloat16
    assert all(map(torch.equal, qkv, before))
