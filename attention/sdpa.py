"""PyTorch's own attention: exact, always there, the reference for all others and the end of every fallback.

Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import torch
import torch.nn.functional as F

from .backend import ALL_DTYPES, Backend


def attend(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    """Softmax attention by torch.nn.functional.scaled_dot_product_attention; returns (B, Q, H, D)."""
    out_BHQD = F.scaled_dot_product_attention(
        q_BQHD.transpose(1, 2), k_BKHD.transpose(1, 2), v_BKHD.transpose(1, 2)
    )
    return out_BHQD.transpose(1, 2)


BACKEND = Backend(
    name="sdpa",
    label="PyTorch attention",
    description="PyTorch's attention, by the kernel that PyTorch picks. Exact, runs everywhere.",
    exact=True,
    attention=attend,
    why_missing=lambda: None,
    runs_on=lambda _hardware: True,
    needs="nothing",
    remedy="install PyTorch",
    dtypes=ALL_DTYPES,
    max_head_dim=None,
    tolerance=None,
    fallback=None,
)
