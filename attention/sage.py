"""SageAttention 1 and 2: `sageattention.sageattn`, keys and queries in 8 bits. Not exact.

One name for both, as people know it. Version 1 (the package index's 1.0.6, in Triton, for head dimensions 64,
96 and 128) needs sm_80 or later; version 2 (built from source) has kernels for sm_80, 86, 89, 90 and 120 and
refuses the rest, which the self-test finds out. Version 1 counts the padding of the last block of 64 keys in
the softmax (measured: 37 % off at 32 keys, 6 % at 520, 1.3 % at 512 and at 32,760), so that it runs in
self-attention alone; version 2 is right at every length.
Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from .backend import Backend, Kernel, as_operator
from .self_test import EIGHT_BIT_TOLERANCE

KERNEL = Kernel("sageattention", "sageattn")


@functools.cache
def _is_version_1(sageattn: Callable[..., Any]) -> bool:
    """Version 1 takes `smooth_k`; version 2 hides it from this function and always smooths."""
    return "smooth_k" in inspect.signature(sageattn).parameters


def _run(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    sageattn = KERNEL.load()
    if not _is_version_1(sageattn):
        return sageattn(q_BQHD, k_BKHD, v_BKHD, tensor_layout="NHD").contiguous()
    # Version 1 subtracts the mean key from the caller's own tensor (k -= ...); we do it beside.
    smooth_BKHD = k_BKHD - k_BKHD.mean(dim=1, keepdim=True)
    return sageattn(q_BQHD, smooth_BKHD, v_BKHD, tensor_layout="NHD", smooth_k=False).contiguous()


BACKEND = Backend(
    name="sageattn",
    label="SageAttention",
    description="SageAttention (package sageattention): 8-bit, 1 to 4 % off on random input. Version 2, "
    "built from source, runs everywhere; pip's version 1 in self-attention alone. For RTX 30 and 40 cards "
    "and A100; on an H100 or H200 version 2 is hardly faster than exact ones, and version 1 slower.",
    exact=False,
    attention=as_operator("sageattn", _run),
    why_missing=KERNEL.why_missing,
    runs_on=lambda hardware: hardware.is_nvidia(range(8, 100)),
    needs="an NVIDIA GPU, sm_80 or later",
    remedy="install sageattention (pip install sageattention, or build https://github.com/thu-ml/SageAttention)",
    max_head_dim=128,
    tolerance=EIGHT_BIT_TOLERANCE,
    fallback="sdpa",
    may_be_long_only=True,
)
