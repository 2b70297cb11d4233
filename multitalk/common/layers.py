"""What modules are built of: PyTorch's layers or the host's, of one type, in one place."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Layers:
    """Makes layers.

    Attributes:
        operations: where their classes are: torch.nn, or the host's, which load and move weights its way.
        dtype: of the weights; None: PyTorch's default.
        device: of the weights; None: PyTorch's default.
    """

    operations: Any = nn
    dtype: torch.dtype | None = None
    device: torch.device | None = None

    def linear(self, inputs: int, outputs: int) -> Any:
        """A linear layer with bias."""
        return self.operations.Linear(inputs, outputs, dtype=self.dtype, device=self.device)

    def layer_norm(self, channels: int, eps: float = 1e-5) -> Any:
        """A norm over channels with weight and bias."""
        return self.operations.LayerNorm(channels, eps=eps, dtype=self.dtype, device=self.device)

    def channel_norm(self, channels: int) -> Any:
        """A norm of each channel over time with weight and bias."""
        return self.operations.GroupNorm(channels, channels, dtype=self.dtype, device=self.device)

    def convolution(self, inputs: int, outputs: int, kernel: int, *, stride: int, bias: bool) -> Any:
        """A convolution over time."""
        return self.operations.Conv1d(
            inputs, outputs, kernel, stride=stride, bias=bias, dtype=self.dtype, device=self.device
        )

    def position_convolution(self, channels: int, kernel: int, groups: int) -> Any:
        """A grouped convolution with bias over a frame's surroundings, half a kernel on either side."""
        return self.operations.Conv1d(
            channels,
            channels,
            kernel,
            padding=kernel // 2,
            groups=groups,
            dtype=self.dtype,
            device=self.device,
        )


PLAIN = Layers()
"""PyTorch's own, in float32."""
