"""In which half precision a GPU is faster: self-attention and matrix products of one block, timed in both.

Kernels are not there for both alike: FlashAttention 3's wheel takes bfloat16 alone, and some GPUs multiply
faster in float16.

Shape letters: T tokens, C channels.
"""

import math
from dataclasses import dataclass

import torch

from . import cudnn, sdpa
from .backend import Backend
from .choice import AttentionSpec
from .plain_text import name_of_dtype
from .registry import AUTO, BACKEND_OF, BACKENDS, tried_ms, why_not
from .speed import MARGIN, PROBE_HEADS, PROBE_TOKENS, pick_fastest, shortest_ms

HALVES = (torch.bfloat16, torch.float16)
"""In this order, in which the weights were trained; the later one must be faster by more than the noise."""

BLOCK_TOKENS = 32_760
"""Of a window of 832x480 and 81 frames, for which the times are told."""

BLOCK_PRODUCTS = 14
"""Products of a block over all tokens, as those of channels by channels: eight, and a feed-forward of 2.7
times the channels twice."""


@dataclass(frozen=True, slots=True)
class HalfSpeed:
    """What a block of the usual window takes in a half precision.

    Attributes:
        dtype: the precision.
        backend: the attention backend that runs in it.
        block_ms: milliseconds of self-attention, and of products where these are in that precision too.
    """

    dtype: torch.dtype
    backend: str
    block_ms: float

    def __str__(self) -> str:
        return f"{name_of_dtype(self.dtype)} {self.block_ms:.0f} ms with {self.backend}"


def measure_halves(
    asked: str, device: torch.device, channels: int, head_dim: int, *, products: bool
) -> tuple[HalfSpeed, ...]:
    """Both half precisions, the faster one first.

    Args:
        asked: name of the attention backend that was asked for.
        device: a CUDA device.
        channels: of a block.
        head_dim: of its attention.
        products: matrix products are computed in the half precision, and not in fp8.
    """
    speeds: list[HalfSpeed] = []
    for dtype in HALVES:
        name, attention_ms = fastest_of(asked, AttentionSpec(device, dtype, head_dim))
        heads = channels // head_dim
        block_ms = attention_ms * (BLOCK_TOKENS / PROBE_TOKENS) ** 2 * heads / PROBE_HEADS
        if products:
            block_ms += BLOCK_PRODUCTS * BLOCK_TOKENS / PROBE_TOKENS * product_ms(device, dtype, channels)
        speeds.append(HalfSpeed(dtype, name, block_ms))
    first, second = speeds
    return (second, first) if second.block_ms < first.block_ms * (1 - MARGIN) else (first, second)


def fastest_of(asked: str, spec: AttentionSpec) -> tuple[str, float]:
    """Name and milliseconds of the backend that would run there; infinite if none of them can."""
    tried = ((backend.name, tried_ms(backend, spec)) for backend in candidates(asked, spec))
    times_ms = [(name, time_ms) for name, time_ms in tried if time_ms is not None]
    if not times_ms:
        return sdpa.BACKEND.name, math.inf
    fastest = pick_fastest(times_ms)
    return fastest, dict(times_ms)[fastest]


def candidates(asked: str, spec: AttentionSpec) -> tuple[Backend, ...]:
    """What may run for a name: all exact backends, or the first of a chain of fallbacks that can.

    Without cuDNN, which PyTorch's own attention takes where it is faster: to build its plans takes seconds.
    """

    def runs(backend: Backend) -> bool:
        return why_not(backend.name, spec.device, spec.dtype, spec.head_dim) is None

    if asked == AUTO:
        exact = (backend for backend in BACKENDS if backend.exact and backend.name != cudnn.BACKEND.name)
        return tuple(backend for backend in exact if runs(backend))
    backend = BACKEND_OF[asked]
    while backend.fallback is not None and not runs(backend):
        backend = BACKEND_OF[backend.fallback]
    return (backend,)


def product_ms(device: torch.device, dtype: torch.dtype, channels: int) -> float:
    """Shortest of a few products of tokens and a square matrix, in milliseconds."""
    generator = torch.Generator(device).manual_seed(0)
    x_TC, weight_CC = (
        torch.randn(rows, channels, generator=generator, device=device, dtype=dtype)
        for rows in (PROBE_TOKENS, channels)
    )
    return shortest_ms(lambda: torch.nn.functional.linear(x_TC, weight_CC))
