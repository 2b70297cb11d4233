"""GPUs and kernel packages that the attention tests make up."""

import logging
from typing import Protocol

import pytest
import torch
from evertalk_pack.attention import sdpa
from evertalk_pack.attention.choice import AttentionChoice
from evertalk_pack.attention.hardware import Hardware
from evertalk_pack.attention.registry import Resolver

CPU = torch.device("cpu")
BLACKWELL = Hardware("cuda", "NVIDIA GeForce RTX 5090", (12, 0))
HOPPER = Hardware("cuda", "NVIDIA H100", (9, 0))
ADA = Hardware("cuda", "NVIDIA GeForce RTX 4090", (8, 9))
VOLTA = Hardware("cuda", "NVIDIA V100", (7, 0))
TURING = Hardware("cuda", "NVIDIA GeForce RTX 2080", (7, 5))

SDPA = "torch.nn.functional.scaled_dot_product_attention"
RAISES = """
def sageattn(q, k, v, **options):
    raise RuntimeError("no kernel image is available for execution.\\nand much advice")
"""


def nhd(function: str, result: str = "out") -> str:
    """Source of a package with a kernel that takes (B, L, H, D)."""
    return f"""
import torch
def {function}(q, k, v, **options):
    out = {SDPA}(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)
    return {result}
"""


def hnd(function: str) -> str:
    """Source of a package with a kernel that takes (B, H, L, D) and keeps the options of each call."""
    return f"""
import torch
CALLS = []
def {function}(q, k, v, **options):
    CALLS.append(options)
    return {SDPA}(q, k, v)
"""


FP4_LINE = "SageAttention3 FP4 not available, falling back to sageattn_3 mode"
SAGE3_LINE = "SageAttention3 not available, falling back to sageattn mode"
SAGE_LINE = "SageAttention not available, falling back to sdpa mode"
FLASH4_LINE = "FlashAttention 4 not available, falling back to flash_attn_3 mode"
FLASH3_LINE = "FlashAttention 3 not available, falling back to flash_attn_2 mode"
FLASH2_LINE = "FlashAttention 2 not available, falling back to sdpa mode"
KITCHEN_LINE = "comfy-kitchen's INT8 attention not available, falling back to sdpa mode"
CUDNN_LINE = "cuDNN attention not available, falling back to sdpa mode"


class Machine(Protocol):
    def install(self, module: str, source: str) -> None: ...


def on(hardware: Hardware) -> Resolver:
    return Resolver(lambda _device: hardware)


def choose(resolver: Resolver, name: str, dtype: torch.dtype = torch.bfloat16) -> AttentionChoice:
    return resolver.resolve(name, CPU, dtype, 64)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and r.name == "evertalk"]


def logged(notes: tuple[str, ...]) -> list[str]:
    """The log's messages of fallbacks: what happened on a line of its own, then why."""
    return [note.replace(": ", "\n", 1) for note in notes]


def starts(notes: tuple[str, ...] | list[str]) -> list[str]:
    return [note.replace("\n", ":").split(":")[0] for note in notes]


def host(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    return sdpa.attend(q_BQHD, k_BKHD, v_BKHD)
