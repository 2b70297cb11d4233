"""FlashAttention 2: `flash_attn.flash_attn_func` of the package flash-attn. Exact.

Needs an NVIDIA GPU from sm_80 on, or an AMD GPU with the package's ROCm build.
Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import torch

from .backend import Backend, Kernel, as_operator
from .self_test import EXACT_TOLERANCE

KERNEL = Kernel("flash_attn", "flash_attn_func")


def _run(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    return KERNEL.load()(q_BQHD, k_BKHD, v_BKHD).contiguous()


BACKEND = Backend(
    name="flash_attn_2",
    label="FlashAttention 2",
    description="FlashAttention 2 (package flash-attn). Exact.",
    exact=True,
    attention=as_operator("flash_attn_2", _run),
    why_missing=KERNEL.why_missing,
    runs_on=lambda hardware: hardware.kind == "rocm" or hardware.is_nvidia(range(8, 100)),
    needs="an NVIDIA GPU, sm_80 or later, or an AMD GPU",
    remedy="install flash-attn (pip install flash-attn --no-build-isolation)",
    max_head_dim=256,
    tolerance=EXACT_TOLERANCE,
    fallback="sdpa",
)
