"""Which heads go sparse within a budget of error, and what they give then.

Shape letters: B batch, L tokens, H heads, D head dimension.
"""

import pytest
import torch
from attention_video import video_like
from evertalk_pack.attention import block_sparse, sdpa
from evertalk_pack.attention.head_plan import TAUS, HeadPlan, attend, sample_errors, try_heads

NEAR = [True, False, True, False, True]
QKV = video_like(12 * block_sparse.BLOCK + 9, NEAR)
EXACT_BLHD = sdpa.attend(*QKV)


def all_row_errors(out_BLHD: torch.Tensor) -> torch.Tensor:
    norm = torch.linalg.vector_norm
    return norm(out_BLHD - EXACT_BLHD, dim=(0, 1, 3)) / norm(EXACT_BLHD, dim=(0, 1, 3))


@pytest.mark.parametrize("budget", [0.001, 0.01, 0.02, 0.05])
def test_every_head_keeps_to_the_budget_on_all_rows(budget: float) -> None:
    plan = try_heads(QKV, EXACT_BLHD, block_sparse.attend, budget).plan
    out_BLHD = attend(*QKV, plan, sdpa.attend, block_sparse.attend)
    assert float(all_row_errors(out_BLHD).max()) <= budget
    assert float((out_BLHD - EXACT_BLHD).norm() / EXACT_BLHD.norm()) <= budget


def test_near_heads_go_sparse_and_the_others_stay_exact() -> None:
    trial = try_heads(QKV, EXACT_BLHD, block_sparse.attend, 0.02)
    assert [level > 0 for level in trial.plan.levels] == NEAR
    assert trial.plan.share == pytest.approx(0.6)
    assert 0 < max(trial.errors) <= 0.02
    assert len(trial.errors) == 3
    out_BLHD = attend(*QKV, trial.plan, sdpa.attend, block_sparse.attend)
    for head in (1, 3):
        torch.testing.assert_close(out_BLHD[:, :, head], EXACT_BLHD[:, :, head])
    for head in (0, 2, 4):
        assert not out_BLHD[:, :, head].equal(EXACT_BLHD[:, :, head])


def test_a_larger_budget_takes_higher_thresholds() -> None:
    levels = [try_heads(QKV, EXACT_BLHD, block_sparse.attend, b).plan.levels for b in (0.0001, 0.02, 0.9)]
    assert all(low <= high for low, high in zip(levels[0], levels[1], strict=True))
    assert all(low <= high for low, high in zip(levels[1], levels[2], strict=True))
    assert max(levels[2]) == len(TAUS)
    assert levels[0] != levels[2]


def test_a_head_is_tried_with_lower_thresholds_only_while_there_is_hope() -> None:
    generator = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(1, 70, 4, 16, generator=generator) for _ in range(3))
    q[0, 0, :, 0] = torch.tensor([0.001, 0.009, 0.02, 0.3])
    tried: list[tuple[int, float]] = []

    def off(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, tau: float) -> torch.Tensor:
        """Off by the threshold times each head's number."""
        tried.append((q.shape[2], tau))
        return sdpa.attend(q, k, v) * (1 + tau * q[0, 0, :, :1])

    trial = try_heads((q, k, v), sdpa.attend(q, k, v), off, 0.02)
    assert tried == [(4, 2.0), (1, 1.3), (1, 0.8)]
    assert trial.plan.levels == (3, 3, 1, 0)
    assert sorted(trial.errors) == pytest.approx([0.002, 0.016, 0.018], rel=1e-3)


def test_a_few_heads_that_pass_by_themselves_stay_exact() -> None:
    qkv = video_like(4 * block_sparse.BLOCK, [True] + [False] * 15)
    exact_BLHD = sdpa.attend(*qkv)
    assert try_heads(qkv, exact_BLHD, block_sparse.attend, 0.05).plan.share == 0
    some = video_like(4 * block_sparse.BLOCK, [True] * 2 + [False] * 14)
    assert try_heads(some, sdpa.attend(*some), block_sparse.attend, 0.05).plan.share == pytest.approx(2 / 16)


def test_a_kernel_that_gives_no_numbers_leaves_all_heads_exact() -> None:
    def sparse(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, tau: float) -> torch.Tensor:
        return block_sparse.attend(q, k, v, tau) * torch.nan

    trial = try_heads(QKV, EXACT_BLHD, sparse, 0.05)
    assert (trial.plan.levels, trial.errors) == ((0,) * 5, ())


def test_errors_of_a_sample_are_those_of_all_rows_within_a_tenth() -> None:
    tokens = 70 * block_sparse.BLOCK
    generator = torch.Generator().manual_seed(1)
    exact = torch.randn(1, tokens, 2, 8, generator=generator)
    out = exact + torch.tensor([0.01, 0.2])[:, None] * torch.randn(exact.shape, generator=generator)
    assert sample_errors(out, exact) == pytest.approx([0.01, 0.2], rel=0.1)


def test_all_heads_of_a_level_are_one_call_on_the_tensors_themselves() -> None:
    seen: list[torch.Tensor] = []

    def exact(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        seen.append(q_BQHD)
        return sdpa.attend(q_BQHD, k_BKHD, v_BKHD)

    attend(*QKV, HeadPlan((0,) * 5), exact, block_sparse.attend)
    assert len(seen) == 1
    assert seen[0] is QKV[0]
