"""The kernels that compute attention block-sparsely, and which of them a machine has.

- On NVIDIA GPUs from sm_80 on: `comfy_kitchen.sol_attn`, of ComfyUI's own kernel library (0.2.40 has it;
  0.2.31, which ComfyUI 0.33 asks for, has not). It rounds to 8 bits besides, which is an error of its own.
- On a CPU: the method in plain torch (block_sparse.py), in full precision.

Shape letters: B batch, L tokens, H heads, D head dimension.
"""

from dataclasses import dataclass

import torch

from . import block_sparse
from .backend import HALF_DTYPES, Kernel, first_line
from .choice import AttentionSpec
from .hardware import Hardware, hardware_of
from .head_plan import Sparse
from .plain_text import name_of_dtype

KITCHEN = Kernel("comfy_kitchen", "sol_attn")
_AVAILABLE = Kernel("comfy_kitchen", "sol_attn_is_available")
_KITCHEN_HEAD_DIM = 128
_REMEDY = "To use it, pip install -U comfy-kitchen (0.2.40 or later)"
_ZERO = "set attention_budget to 0"


@dataclass(frozen=True, slots=True)
class SparseKernel:
    """One that runs here.

    Attributes:
        name: of the kernel, for people.
        attend: the kernel.
        min_tokens: from how many tokens on it is of use.
    """

    name: str
    attend: Sparse
    min_tokens: int


def _run_kitchen(
    q_BLHD: torch.Tensor, k_BLHD: torch.Tensor, v_BLHD: torch.Tensor, tau: float
) -> torch.Tensor:
    # It reads 16 bytes at a time, from rows that lie side by side.
    q, k, v = (x.contiguous() for x in (q_BLHD, k_BLHD, v_BLHD))
    return KITCHEN.load()(q, k, v, tau=tau)


SOL_ATTN = SparseKernel("sol_attn", _run_kitchen, min_tokens=12_000)
"""Below 12,000 tokens an exact kernel is as fast, as its library says."""

PLAIN = SparseKernel("block-sparse in plain torch", block_sparse.attend, min_tokens=2 * block_sparse.BLOCK)


def sparse_kernel(spec: AttentionSpec, tokens: int) -> SparseKernel | str:
    """The kernel for self-attention over so many tokens, or a sentence: why there is none, and what to do."""
    kernel = PLAIN if spec.device.type == "cpu" else SOL_ATTN
    if tokens < kernel.min_tokens:
        return (
            f"a window has {tokens} tokens, and sparse attention pays from {kernel.min_tokens} on. Choose a "
            f"larger size or more window_frames, or {_ZERO}."
        )
    if kernel is PLAIN:
        return kernel
    return _why_not_kitchen(spec, hardware_of(spec.device)) or kernel


def _why_not_kitchen(spec: AttentionSpec, hardware: Hardware) -> str | None:
    if not hardware.is_nvidia(range(8, 100)):
        return f"this device ({hardware}) cannot run it. It needs an NVIDIA GPU, sm_80 or later; {_ZERO}."
    if spec.dtype not in HALF_DTYPES:
        return (
            f"it takes float16 and bfloat16, and this run has {name_of_dtype(spec.dtype)}. Choose one of "
            f"them for compute, or {_ZERO}."
        )
    if spec.head_dim != _KITCHEN_HEAD_DIM:
        return f"it takes heads of {_KITCHEN_HEAD_DIM}, and this model has {spec.head_dim}; {_ZERO}."
    for needed in (KITCHEN, _AVAILABLE):
        if (missing := needed.why_missing()) is not None:
            return f"{missing}. {_REMEDY}, or {_ZERO}."
    try:
        runs = bool(_AVAILABLE.load()(spec.device))
    except Exception as error:  # noqa: BLE001 - a broken library must not end a run
        return f"comfy_kitchen raised {first_line(error)}. {_REMEDY}, or {_ZERO}."
    return None if runs else f"this comfy_kitchen has no kernel for {hardware}. {_REMEDY}, or {_ZERO}."
