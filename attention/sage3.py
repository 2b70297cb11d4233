"""SageAttention 3 for Blackwell: `sageattn3.sageattn3_blackwell`, everything in 4-bit floats. Not exact.

The package (folder sageattention3_blackwell of thu-ml/SageAttention) has one kernel, FP4, built for sm_100 or
sm_120 with CUDA 12.8 or later; there is no 8-bit kernel in it, whatever a name suggests. Its only option is
how queries are centred before they are rounded, and that is what our two names mean:

- `sageattn_3_fp4`: the package's default and the published method, `per_block_mean=True`: each block of 128
  queries is centred by itself. The better rounding costs a Triton kernel and a float32 bias for each
  pair of such a block and a key: 1.34 GB at 32,760 tokens and 40 heads, 0.67 GB more while it is made.
- `sageattn_3`: `per_block_mean=False`, one mean for all queries, which is what WanVideoWrapper runs under
  that name: no Triton kernel, a bias of a few MB. It also takes the package's early form,
  `sageattn.sageattn_blackwell`.

So a fallback from the first to the second asks for strictly less. Where the package is missing or the GPU has
no FP4, both step aside and `sageattn` is next.
Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from .backend import Backend, Kernel, KernelOfOnePackage, as_operator
from .self_test import FOUR_BIT_TOLERANCE

KERNEL = Kernel("sageattn3", "sageattn3_blackwell")
PLAIN_KERNEL = KernelOfOnePackage((KERNEL, Kernel("sageattn", "sageattn_blackwell")))


def _call(
    kernel: Callable[..., Any], qkv: tuple[torch.Tensor, torch.Tensor, torch.Tensor], *, per_block_mean: bool
) -> torch.Tensor:
    q_BHQD, k_BHKD, v_BHKD = (x_BLHD.transpose(1, 2) for x_BLHD in qkv)
    # The package subtracts the mean key in place (k -= ...), so it gets a copy of the caller's.
    k_BHKD = k_BHKD.clone(memory_format=torch.contiguous_format)
    out_BHQD = kernel(q_BHQD, k_BHKD, v_BHKD, per_block_mean=per_block_mean)
    return out_BHQD.transpose(1, 2).contiguous()


def _run_fp4(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    return _call(KERNEL.load(), (q_BQHD, k_BKHD, v_BKHD), per_block_mean=True)


def _run_plain(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    return _call(PLAIN_KERNEL.load(), (q_BQHD, k_BKHD, v_BKHD), per_block_mean=False)


FP4_BACKEND = Backend(
    name="sageattn_3_fp4",
    label="SageAttention3 FP4",
    description="SageAttention 3 as published (package sageattn3): FP4, about 19 % off; Blackwell GPUs.",
    exact=False,
    attention=as_operator("sageattn_3_fp4", _run_fp4),
    why_missing=KERNEL.why_missing,
    runs_on=lambda hardware: hardware.is_nvidia(range(10, 11)) or hardware.is_nvidia(range(12, 13)),
    needs="an NVIDIA Blackwell GPU with FP4 (sm_100 or sm_120)",
    remedy="build sageattn3 from the folder sageattention3_blackwell of https://github.com/thu-ml/SageAttention",
    max_head_dim=128,
    tolerance=FOUR_BIT_TOLERANCE,
    fallback="sageattn_3",
)

BACKEND = replace(
    FP4_BACKEND,
    name="sageattn_3",
    label="SageAttention3",
    description="SageAttention 3 as WanVideoWrapper runs it: FP4 with less memory; Blackwell GPUs.",
    attention=as_operator("sageattn_3", _run_plain),
    why_missing=PLAIN_KERNEL.why_missing,
    fallback="sageattn",
)
