"""What was chosen and what runs: values that the nodes show."""

from dataclasses import dataclass

import torch

from .protocol import Attention


@dataclass(frozen=True, slots=True)
class AttentionChoice:
    """The backend that a run uses.

    `asked` is the name that was asked for, `ran` the one that runs ("auto" has become a real one). `exact` is
    False where operands are quantised, and for the host's choice, which may be such a one. `notes` are the
    fallbacks on the way from `asked` to `ran`, as they were logged; empty when there were none. `elsewhere`
    is what runs outside of self-attention: `ran` again, unless that is right in self-attention alone.
    """

    asked: str
    ran: str
    attention: Attention
    exact: bool
    notes: tuple[str, ...] = ()
    elsewhere: str = ""
    why_elsewhere: str = ""
    """Why `ran` does not run there, as a sentence; empty where it does."""

    def __post_init__(self) -> None:
        if not self.elsewhere:
            object.__setattr__(self, "elsewhere", self.ran)

    def __str__(self) -> str:
        if self.elsewhere == self.ran:
            return self.ran
        return f"{self.ran} in self-attention, {self.elsewhere} elsewhere"


@dataclass(frozen=True, slots=True)
class AttentionSpec:
    """Where and on what attention will run: what a probe's result depends on."""

    device: torch.device
    dtype: torch.dtype
    head_dim: int
