"""Block-sparse attention in plain torch: what the sparse kernels compute, in full precision, on any device.

The method is Sol-Attn's (arXiv 2607.24027). Tokens stand in blocks of 64. For each block of queries, the
blocks of keys that its mean query scores above a threshold are attended to key by key, and so are the block
itself and its two neighbours; every other block enters the softmax as one term, its mean key with the sum of
its values. The threshold is `tau` standard deviations of what such a mean query scores over all blocks: a
higher one is faster and less exact.

Only the blocks that are attended to are computed, so that time follows sparsity here too; the kernels, which
round to 8 bits besides, are what GPUs run (sparse.py).
Shape letters: B batch, L tokens, H heads, D head dimension, N blocks, S tokens of a block, K keys that are
attended to.
"""

import torch

BLOCK = 64
_FLOOR = 1e-6
"""Added under the threshold's root, so that a row of equal scores routes by the neighbours alone."""


def attend(q_BLHD: torch.Tensor, k_BLHD: torch.Tensor, v_BLHD: torch.Tensor, tau: float) -> torch.Tensor:
    """Block-sparse attention of tokens to themselves; returns (B, L, H, D) in the dtype of the query."""
    assert q_BLHD.shape == k_BLHD.shape == v_BLHD.shape, "tokens attend to themselves"
    out_BLHD = torch.empty_like(q_BLHD, memory_format=torch.contiguous_format)
    for batch in range(q_BLHD.shape[0]):
        for head in range(q_BLHD.shape[2]):
            q_LD, k_LD, v_LD = (x[batch, :, head].float() for x in (q_BLHD, k_BLHD, v_BLHD))
            out_BLHD[batch, :, head] = _one_head(q_LD, k_LD, v_LD, tau).to(q_BLHD.dtype)
    return out_BLHD


def routed_blocks(means_q_ND: torch.Tensor, means_k_ND: torch.Tensor, tau: float) -> torch.Tensor:
    """Which blocks of keys (columns) each block of queries attends to key by key: (N, N), true or false.

    Args:
        means_q_ND: mean query of each block, scaled by 1 / sqrt(D).
        means_k_ND: mean key of each block, from which the mean of all is subtracted.
        tau: threshold in standard deviations.
    """
    scores_NN = means_q_ND @ means_k_ND.T
    spread_N = (means_q_ND.square() @ means_k_ND.square().mean(dim=0) + _FLOOR).sqrt()
    place_N = torch.arange(len(scores_NN), device=scores_NN.device)
    near_NN = (place_N[:, None] - place_N).abs() <= 1
    return near_NN | (scores_NN > tau * spread_N[:, None])


def _one_head(q_LD: torch.Tensor, k_LD: torch.Tensor, v_LD: torch.Tensor, tau: float) -> torch.Tensor:
    q_LD = q_LD * q_LD.shape[-1] ** -0.5
    q_blocks, k_blocks, v_blocks = q_LD.split(BLOCK), k_LD.split(BLOCK), v_LD.split(BLOCK)
    means_q_ND = torch.stack([x_SD.mean(dim=0) for x_SD in q_blocks])
    means_k_ND = torch.stack([x_SD.mean(dim=0) for x_SD in k_blocks])
    # A constant under all scores of a row changes no softmax, and the threshold is about the mean.
    centre_D = means_k_ND.mean(dim=0)
    means_k_ND = means_k_ND - centre_D
    sums_v_ND = torch.stack([x_SD.sum(dim=0) for x_SD in v_blocks])
    sizes_N = torch.tensor([len(x_SD) for x_SD in k_blocks], device=q_LD.device, dtype=torch.float32)
    routed_NN = routed_blocks(means_q_ND, means_k_ND, tau)
    rows: list[torch.Tensor] = []
    for block, q_SD in enumerate(q_blocks):
        routed_N = routed_NN[block]
        chosen = routed_N.nonzero().flatten().tolist()
        keys_KD = torch.cat([k_blocks[i] for i in chosen]) - centre_D
        values_KD = torch.cat([v_blocks[i] for i in chosen])
        scores_SK = q_SD @ keys_KD.T
        pooled_N = (means_q_ND[block] @ means_k_ND.T).masked_fill(routed_N, -torch.inf)
        top_S1 = torch.maximum(scores_SK.amax(dim=1, keepdim=True), pooled_N.max())
        weights_SK, pooled_SN = (scores_SK - top_S1).exp(), (pooled_N - top_S1).exp()
        total_S1 = weights_SK.sum(dim=1, keepdim=True) + (pooled_SN @ sizes_N)[:, None]
        rows.append((weights_SK @ values_KD + pooled_SN @ sums_v_ND) / total_S1)
    return torch.cat(rows)
