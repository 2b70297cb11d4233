"""ComfyUI's own attention behind the pack's signature, with what nodes or a checkpoint put in its place.

Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

from collections.abc import Mapping
from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention

from ....attention.protocol import Attention
from ..compat.wan_model import picture_attention_options, preferred_attention_options

OVERRIDE = "optimized_attention_override"
"""The entry of the transformer options that a node leaves to have its own attention run."""


def host_attention(
    transformer_options: dict[str, Any], layer: object = None, *, precise: bool = False
) -> Attention:
    """The attention that ComfyUI was started with, or that a node of the graph put in its place.

    Args:
        transformer_options: of the call; the override finds the block and the noise level there.
        layer: whose attention it is; where no node has a say, its checkpoint's own is taken.
        precise: as the host attends to the CLIP picture, without quantised operands.
    """
    asked = {**preferred_attention_options(layer), **(picture_attention_options() if precise else {})}

    def attention(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        heads = q_BQHD.shape[2]
        attended = optimized_attention(
            q_BQHD.flatten(2),
            k_BKHD.flatten(2),
            v_BKHD.flatten(2),
            heads=heads,
            transformer_options=transformer_options,
            **asked,
        )
        return attended.unflatten(-1, (heads, -1))

    return attention


def override_of(transformer_options: Mapping[str, Any]) -> Any:
    """The attention that a node of the graph put in place of all others, or None."""
    return transformer_options.get(OVERRIDE)
