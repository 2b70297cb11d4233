"""The one signature that all attention backends share.

Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

from typing import Protocol

import torch


class Attention(Protocol):
    """Softmax attention without a mask; returns (B, Q, H, D) in the dtype of the query."""

    def __call__(self, q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor: ...
