"""FlashAttention 3: `flash_attn_func`, from the hopper folder of flash-attention. Exact.

Written for Hopper (sm_90). Its own build is the module `flash_attn_interface`; the package index has the same
kernels without the backward pass and without float16 as fa3-fwd, module `fa3_fwd_interface`. Older builds
return (output, log-sum-exp), newer ones the output alone: both are taken.
Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import torch

from .backend import Backend, Kernel, KernelOfOnePackage, as_operator
from .self_test import EXACT_TOLERANCE

KERNEL = KernelOfOnePackage(
    (Kernel("flash_attn_interface", "flash_attn_func"), Kernel("fa3_fwd_interface", "flash_attn_func"))
)


def _run(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    out = KERNEL.load()(q_BQHD, k_BKHD, v_BKHD)
    return (out[0] if isinstance(out, tuple) else out).contiguous()


BACKEND = Backend(
    name="flash_attn_3",
    label="FlashAttention 3",
    description="FlashAttention 3 for Hopper GPUs (package fa3-fwd, or built from source). Exact.",
    exact=True,
    attention=as_operator("flash_attn_3", _run),
    why_missing=KERNEL.why_missing,
    runs_on=lambda hardware: hardware.is_nvidia(range(9, 10)),
    needs="an NVIDIA Hopper GPU (sm_90)",
    remedy="install fa3-fwd (pip install fa3-fwd; bfloat16, CUDA 13) or build it from the folder hopper of "
    "https://github.com/Dao-AILab/flash-attention",
    max_head_dim=256,
    tolerance=EXACT_TOLERANCE,
    fallback="flash_attn_2",
)
