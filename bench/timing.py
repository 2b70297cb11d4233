"""Durations of one attention."""

import time
from collections.abc import Callable

import torch


def timed_ms(
    attention: Callable[..., torch.Tensor], qkv: list[torch.Tensor], device: torch.device, runs: int
) -> list[float]:
    """Duration of each of `runs` calls, after one that is not counted."""
    attention(*qkv)
    times_ms: list[float] = []
    for _ in range(runs):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start_s = time.perf_counter()
        attention(*qkv)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times_ms.append(1000 * (time.perf_counter() - start_s))
    return times_ms
