"""ComfyUI's own attention behind the pack's signature, its override hook included.

Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention

from ...attention.protocol import Attention


def host_attention(transformer_options: dict[str, Any]) -> Attention:
    """The attention that ComfyUI was started with, or that a node of the graph put in its place."""

    def attention(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        heads = q_BQHD.shape[2]
        attended = optimized_attention(
            q_BQHD.flatten(2),
            k_BKHD.flatten(2),
            v_BKHD.flatten(2),
            heads=heads,
            transformer_options=transformer_options,
        )
        return attended.unflatten(-1, (heads, -1))

    return attention
