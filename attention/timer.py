"""Durations on a device, read later, so that nobody waits for a GPU inside of a step."""

import time
from collections.abc import Generator
from contextlib import contextmanager

import torch

Mark = float | torch.cuda.Event
"""A moment: seconds of the clock, or a mark in the GPU's stream."""

KEPT = 4096
"""Single durations that are kept."""


class Timer:
    """Measures blocks of code; on a GPU what they took there.

    Attributes:
        durations_s: the first `KEPT` of those that were read.
        total_s: of all that were read.
        count: how many were read.
    """

    def __init__(self, device: torch.device) -> None:
        self.durations_s: list[float] = []
        self.total_s = 0.0
        self.count = 0
        self._device = device
        self._marks: list[tuple[Mark, Mark]] = []

    @contextmanager
    def timed(self) -> Generator[None]:
        """Measure what is inside."""
        start = self._now()
        yield
        self._marks.append((start, self._now()))

    def read(self) -> None:
        """Read what was measured since; waits for the GPU."""
        found_s = [_between(start, end) for start, end in self._marks]
        self._marks.clear()
        self.durations_s += found_s[: KEPT - len(self.durations_s)]
        self.total_s += sum(found_s)
        self.count += len(found_s)

    def _now(self) -> Mark:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event


def _between(start: Mark, end: Mark) -> float:
    if isinstance(start, torch.cuda.Event):
        assert isinstance(end, torch.cuda.Event)
        end.synchronize()
        return start.elapsed_time(end) / 1000
    assert not isinstance(end, torch.cuda.Event)
    return end - start
