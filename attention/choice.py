"""What was chosen and what runs: values that the nodes show."""

from dataclasses import dataclass

import torch

from .protocol import Attention


@dataclass(frozen=True, slots=True)
class AttentionChoice:
    """The backend that a run uses.

    `asked` is the name that was asked for, `ran` the one that runs ("auto" has become a real one). `exact` is
    False where operands are quantised, and for the host's choice, which may be such a one. `notes` are the
    fallbacks on the way from `asked` to `ran`, as they were logged; empty when there were none.
    """

    asked: str
    ran: str
    attention: Attention
    exact: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AttentionSpec:
    """Where and on what attention will run: what a probe's result depends on."""

    device: torch.device
    dtype: torch.dtype
    head_dim: int
