"""comfy-kitchen's attention in 8-bit integers: `comfy_kitchen.int8_attention`. Not exact.

ComfyUI's own kernel library (a requirement of ComfyUI from 2026 on; seen from 0.2.31 on), for every NVIDIA
GPU from sm_75 on, without a build. Right at every number of keys: 1.2 to 1.7 % off on random input. On an
H200 a call of 32,760 tokens takes 47.5 ms, where exact ones take 29 to 37: it is for GPUs without those.
Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import torch

from .backend import Backend, Kernel, as_operator
from .hardware import Hardware
from .self_test import EIGHT_BIT_TOLERANCE

KERNEL = Kernel("comfy_kitchen", "int8_attention")


def _run(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    out_BHQD = KERNEL.load()(*(x_BLHD.transpose(1, 2) for x_BLHD in (q_BQHD, k_BKHD, v_BKHD)))
    return out_BHQD.transpose(1, 2).contiguous()


def _runs_on(hardware: Hardware) -> bool:
    capability = hardware.capability
    return hardware.is_nvidia(range(7, 100)) and capability is not None and capability >= (7, 5)


BACKEND = Backend(
    name="kitchen_int8",
    label="comfy-kitchen's INT8 attention",
    description="8-bit integers, by ComfyUI's kernel library comfy-kitchen: 1 to 2 % off on random input, no "
    "build. For RTX 20 to 40 cards; slower than exact ones on an H100 or H200.",
    exact=False,
    attention=as_operator("kitchen_int8", _run),
    why_missing=KERNEL.why_missing,
    runs_on=_runs_on,
    needs="an NVIDIA GPU, sm_75 or later",
    remedy="install comfy-kitchen (pip install -U comfy-kitchen)",
    max_head_dim=256,
    tolerance=EIGHT_BIT_TOLERANCE,
    fallback="sdpa",
)
