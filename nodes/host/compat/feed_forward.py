"""How long the host's feed-forward holds on to its hidden layer.

A plain sequence of layers lets go of it when the activation has been taken: ComfyUI up to 0.30. Since
August 2026 (0.31) the host takes activation and last layer as one operation, through which the hidden layer
stays alive beside its activation.
"""

import weakref
from functools import cache

import torch
from torch import nn

CHANNELS = 1


class _Hidden(nn.Linear):
    """Makes the hidden layer, and remembers it without keeping it alive."""

    def __init__(self) -> None:
        super().__init__(CHANNELS, CHANNELS)
        self.made: weakref.ref[torch.Tensor] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = x + 1
        self.made = weakref.ref(hidden)
        return hidden


class _Out(nn.Linear):
    """Notes whether the hidden layer is still there when its turn comes."""

    def __init__(self, hidden: _Hidden) -> None:
        super().__init__(CHANNELS, CHANNELS)
        self._made_by = (hidden,)  # in a tuple: no layer of this one
        self.is_held = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self._made_by[0].made
        assert made is not None, "the first layer ran"
        self.is_held = made() is not None and made() is not x
        return x


@cache
def holds_hidden(kind: type[nn.Sequential]) -> bool:
    """Whether a feed-forward of this class holds its hidden layer until its last layer is done.

    Tried out on one value a process, with layers that look.
    """
    hidden = _Hidden()
    out = _Out(hidden)
    with torch.inference_mode():
        kind(hidden, nn.GELU(approximate="tanh"), out)(torch.zeros(1, CHANNELS))
    return out.is_held
