"""What blocks of one evaluation share, and what a host has a say in while they run.

Shape letters: B batch, L video tokens, M context tokens, H heads, D head dimension, C channels, N modulation
rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from ..attention.protocol import Attention
from .protocols import WanSelfAttention
from .ranks import TokenSplit
from .rope import Rotation


class InsideBlock(Protocol):
    """What a host has a say in inside of a block; with one, blocks run uncompiled."""

    def attention(self, layer: WanSelfAttention, *, precise: bool = False) -> Attention:
        """The attention of a layer; `precise` asks for one that does not quantise its operands."""
        ...

    def attended(self, x_BLC: torch.Tensor, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor) -> torch.Tensor:
        """Return what self-attention gave, changed or as it is, before its output projection."""
        ...

    def crossed(self, x_BLC: torch.Tensor) -> torch.Tensor:
        """Return the tokens after the cross-attention to text and picture, changed or as they are."""
        ...


@dataclass(frozen=True, slots=True)
class BlockContext:
    """What all blocks of one evaluation share.

    Attributes:
        modulation_BNC: six rows: shift, scale and gate of the self-attention and of the feed-forward.
        text_BMC: embedded text.
        clip_BMC: embedded picture or None.
        rotation: of the token grid.
        num_heads: attention heads.
        attention: the attention backend.
        inside: what a host has a say in inside of blocks, its attention included; None if it has none.
        split: this process's share of the tokens, where several make one evaluation; else None.
    """

    modulation_BNC: torch.Tensor
    text_BMC: torch.Tensor
    clip_BMC: torch.Tensor | None
    rotation: Rotation
    num_heads: int
    attention: Attention
    inside: InsideBlock | None = None
    split: TokenSplit | None = None


RunInContext = Callable[[BlockContext, torch.Tensor], torch.Tensor]
"""(context, x_BLC) -> x_BLC: one block."""

RunBlock = Callable[[int, BlockContext, torch.Tensor, RunInContext], torch.Tensor]
"""(index, context, x_BLC, run) -> x_BLC: how a host wraps or replaces single blocks; `run` is the block."""


@dataclass(frozen=True, slots=True)
class HostSide:
    """A host's say in an evaluation.

    Attributes:
        run_block: how single blocks are run; as they are, unless it wraps or replaces them.
        inside: its say inside of blocks.
    """

    run_block: RunBlock | None = None
    inside: InsideBlock | None = None


NO_HOST = HostSide()
