"""Durations of calls on a device, and where their time goes."""

import time
from collections.abc import Callable
from typing import Any

import torch
from rows import emit

KERNELS_SHOWN, KERNEL_NAME_LENGTH = 24, 110


def timed_ms(call: Callable[[], object], device: torch.device, runs: int) -> list[float]:
    """Duration of each of `runs` calls, after one that is not counted."""
    return [1000 * one_s for one_s in Clock(device, runs).seconds(call)[1:]]


class Clock:
    """Times calls and notes the peak of GPU memory.

    Args:
        device: what computes.
        runs: calls that count, after a first.
        profiles: `profile` does something.
    """

    def __init__(self, device: torch.device, runs: int, *, profiles: bool = False) -> None:
        self.device, self.runs, self.profiles = device, runs, profiles

    def profile(self, what: str, call: Callable[[], Any]) -> None:
        """Print the kernels of one call that take the most time, where that is asked for."""
        if self.profiles:
            emit({"what": "profile", "of": what, **kernel_times(call, self.wait)})

    def wait(self) -> None:
        """Until the GPU has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, call: Callable[[], Any]) -> list[float]:
        """Of each call, the first included."""
        found: list[float] = []
        for _ in range(self.runs + 1):
            self.wait()
            started = time.perf_counter()
            call()
            self.wait()
            found.append(time.perf_counter() - started)
        return found

    def time(self, call: Callable[[], Any]) -> dict[str, Any]:
        """First and best seconds of a call, its peak memory in GB, and that above what was there before."""
        is_cuda = self.device.type == "cuda"
        before = 0
        if is_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
        first_s, *later_s = self.seconds(call)
        found = {"first_s": round(first_s, 4), "best_s": round(min(later_s), 4)}
        if is_cuda:
            peak = torch.cuda.max_memory_allocated(self.device)
            found |= {"peak_gb": round(peak / 1e9, 2), "above_weights_gb": round((peak - before) / 1e9, 3)}
        return found


def kernel_times(call: Callable[[], Any], wait: Callable[[], None]) -> dict[str, Any]:
    """Milliseconds of all kernels of a call, and of the longest ones with how often they ran."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        call()
        wait()
    found: Any = profile.key_averages()
    kernels = sorted(
        (round(event.self_device_time_total / 1e3, 2), event.count, event.key[:KERNEL_NAME_LENGTH])
        for event in found
        if event.device_type.name == "CUDA" and event.self_device_time_total > 0
    )
    all_ms = round(sum(kernel[0] for kernel in kernels), 1)
    return {"all_ms": all_ms, "kernels": kernels[: -KERNELS_SHOWN - 1 : -1]}
