"""Queries, keys and values in which some heads look at what is near and others anywhere.

Shape letters: B batch, L tokens, H heads, D head dimension.
"""

import torch


def video_like(
    tokens: int, near: list[bool], head_dim: int = 32, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(1, tokens, heads, head_dim) each; a head that is `near` attends to the tokens beside each token."""
    generator = torch.Generator().manual_seed(seed)
    place_L1 = torch.arange(float(tokens))[:, None]
    q_heads: list[torch.Tensor] = []
    k_heads: list[torch.Tensor] = []
    for is_near in near:
        q_LD, k_LD = (torch.randn(tokens, head_dim, generator=generator) for _ in range(2))
        if is_near:
            angles = place_L1 @ torch.randn(1, head_dim // 2, generator=generator) / 12
            features = torch.cat((angles.cos(), angles.sin()), dim=1)
            q_LD, k_LD = 4 * features + 0.05 * q_LD, 4 * features + 0.05 * k_LD
        q_heads.append(q_LD)
        k_heads.append(k_LD)
    v_BLHD = torch.randn(1, tokens, len(near), head_dim, generator=generator)
    return torch.stack(q_heads, dim=1)[None], torch.stack(k_heads, dim=1)[None], v_BLHD
