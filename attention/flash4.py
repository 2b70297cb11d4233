"""FlashAttention 4: `flash_attn.cute.flash_attn_func` of the package flash-attn-4. Exact.

Written in CuTe's Python dialect for Hopper and Blackwell and compiled at the first call, which takes seconds.
The package lives inside flash-attn's namespace, so that having flash_attn says nothing about having this one.
It returns (output, log-sum-exp or None) or the output alone, by version: both are taken.
Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import torch

from .backend import Backend, Kernel, as_operator
from .self_test import EXACT_TOLERANCE

KERNEL = Kernel("flash_attn.cute", "flash_attn_func")


def _run(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    out = KERNEL.load()(q_BQHD, k_BKHD, v_BKHD)
    return (out[0] if isinstance(out, tuple) else out).contiguous()


BACKEND = Backend(
    name="flash_attn_4",
    label="FlashAttention 4",
    description="FlashAttention 4 for Hopper and Blackwell GPUs (package flash-attn-4). Exact.",
    exact=True,
    attention=as_operator("flash_attn_4", _run),
    why_missing=KERNEL.why_missing,
    runs_on=lambda hardware: hardware.is_nvidia(range(9, 13)),
    needs="an NVIDIA Hopper or Blackwell GPU (sm_90 to sm_12x)",
    remedy="install flash-attn-4 (pip install flash-attn-4)",
    max_head_dim=256,
    tolerance=EXACT_TOLERANCE,
    fallback="flash_attn_3",
)
