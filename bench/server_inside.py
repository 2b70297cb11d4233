"""What a bench does inside a server: takes GPU memory away, and tells where a window's time goes.

Copied by `real_server.py` among the custom nodes of the server that it starts; what to do stands in the
environment, in SETTINGS as JSON: `limit_gib`, the memory that the GPU is to seem to have, `profile`, a
window's index, and `out`, the file for what was found.

A window is profiled from the moment that it is asked for until the next one is, so not the last: the GPU's
own times by torch's profiler, and what the threads did meanwhile by looking at them every few milliseconds.
The profiler slows the threads; so the windows after it, but for the run's last, are looked at without it.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

import torch

NODE_CLASS_MAPPINGS: dict[str, type] = {}
SETTINGS = "EVERTALK_BENCH"
GIB = 1024**3
SAMPLE_S = 0.002
POLL_S = 0.1
LONG_GAP_NS = 500_000
SHOWN, SHOWN_GAPS, CHAIN, NAMED = 14, 24, 5, 150
MAIN, WRITER = "prompt_worker", "evertalk-writer"
PACK = "/custom_nodes/EverTalk/"
RANGES = ("forward", "decode", "encode")

PHASES = (
    ("read files", ("load_torch_file",)),
    ("compile: generate and build kernels", ("compile_fx", "async_compile", "codecache")),
    ("compile: trace", ("_dynamo/convert_frame",)),
    ("bring weights to the GPU", ("load_models_gpu",)),
    ("probe attention", ("attention/registry.py", "attention/half_precisions.py")),
    ("wait for the first step's check", ("finite_check.py:settle",)),
    ("decode", ("codecs/vae.py:decode",)),
    ("encode", ("codecs/vae.py:encode",)),
    ("forward", ("model/patcher.py:__call__",)),
    ("sampling, but for forwards", ("sampling/guider.py:sample",)),
    ("match colours", ("sampling/colour_match.py",)),
    ("identity of files and models", ("run/identity.py",)),
)
"""What a stack is doing, by words in it; the first that fits counts."""


class Stacks:
    """Looks at the threads of the server until it is stopped.

    Attributes:
        seen: (when in ns, name of the thread, the functions from the innermost outwards).
    """

    def __init__(self) -> None:
        self.seen: list[tuple[int, str, tuple[str, ...]]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True, name="bench-stacks")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once the thread has ended."""
        self._end.set()
        self._thread.join()

    def during(self, spans: list[tuple[int, int]], thread: str) -> list[tuple[str, ...]]:
        """What a thread was seen at within intervals of ns."""
        return [
            chain
            for when, name, chain in self.seen
            if name == thread and any(start <= when < end for start, end in spans)
        ]

    def _look(self) -> None:
        while not self._end.wait(SAMPLE_S):
            names = {one.ident: one.name for one in threading.enumerate()}
            now = time.time_ns()
            for ident, frame in sys._current_frames().items():  # pyright: ignore[reportPrivateUsage]
                chain = tuple(functions_of(frame))
                if names.get(ident, "").startswith(WRITER):
                    self.seen.append((now, WRITER, chain))
                elif any(MAIN in one for one in chain[-4:]):
                    self.seen.append((now, MAIN, chain))


def functions_of(frame: FrameType | None) -> Iterable[str]:
    """The functions of a stack with file and line, from the innermost outwards."""
    while frame is not None:
        path = frame.f_code.co_filename
        short = path.split(PACK)[-1] if PACK in path else "/".join(path.split("/")[-2:])
        yield f"{short}:{frame.f_code.co_name}:{frame.f_lineno}"
        frame = frame.f_back


def counted(
    stacks: Iterable[tuple[str, ...]], period_ms: float, shown: int | None = SHOWN
) -> dict[str, float]:
    """Milliseconds by the innermost functions, the longest first."""
    kinds = Counter(" < ".join(chain[:CHAIN]) for chain in stacks)
    return {chain: round(count * period_ms, 1) for chain, count in kinds.most_common(shown)}


def phases_of(stacks: Iterable[tuple[str, ...]], period_ms: float) -> dict[str, float]:
    """Milliseconds by what is being done, the longest first."""
    kinds: Counter[str] = Counter()
    for chain in stacks:
        whole = "\n".join(chain)
        kinds[next((name for name, words in PHASES if any(word in whole for word in words)), "else")] += 1
    return {name: round(count * period_ms, 1) for name, count in kinds.most_common()}


Interval = tuple[int, int]
Span = tuple[str, Interval]
"""A kernel's name and when it ran, in ns."""


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Intervals without overlap, in order."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def without(intervals: Iterable[Interval], taken: list[Interval]) -> list[Interval]:
    """What of merged intervals lies outside of others, which are merged too."""
    found: list[Interval] = []
    for begin, end in intervals:
        start = begin
        for first, last in taken:
            if last <= start or first >= end:
                continue
            if first > start:
                found.append((start, first))
            start = max(start, last)
        if start < end:
            found.append((start, end))
    return found


def total_ms(intervals: Iterable[Interval]) -> float:
    """Their length in milliseconds."""
    return round(sum(end - start for start, end in intervals) / 1e6, 1)


def told_of(stacks: Stacks, shown: int | None = SHOWN) -> dict[str, dict[str, float]]:
    """What was done until now, in wall time of the thread that runs graphs."""
    main = [chain for _, name, chain in stacks.seen if name == MAIN]
    times = [when for when, name, _ in stacks.seen if name == MAIN]
    period_ms = (times[-1] - times[0]) / 1e6 / max(len(times) - 1, 1) if times else 0.0
    working = [chain for chain in main if not any("prompt_worker" in one for one in chain[:4])]
    return {"ms": phases_of(working, period_ms), "longest": counted(working, period_ms, shown)}


class LaterWindows:
    """Sums of what windows take, from now on, by looking at the threads alone."""

    def __init__(self) -> None:
        self.stacks = Stacks()
        self._windows = 0
        self._total_ms = 0.0
        self._sums: dict[str, Counter[str]] = {}
        self.stacks.start()
        self._since_ns = time.time_ns()

    def add_window(self) -> dict[str, Any]:
        """All windows so far, another one of which has ended; the time that this takes is not counted."""
        self._windows += 1
        self._total_ms += (time.time_ns() - self._since_ns) / 1e6
        for kind, times in told_of(self.stacks, shown=None).items():
            self._sums.setdefault(kind, Counter()).update(times)
        told: dict[str, Any] = {"windows": self._windows, "total_ms": round(self._total_ms, 1)}
        for kind, times in self._sums.items():
            told[kind] = {name: round(ms, 1) for name, ms in times.most_common(SHOWN)}
        self.stacks.seen, self._since_ns = [], time.time_ns()
        return told


class WindowProfile:
    """Profiles one window.

    Args:
        index: of the window.
        out: where the result goes.
    """

    def __init__(self, index: int, out: Path) -> None:
        self.index, self.out = index, out
        self.found: dict[str, Any] = {}
        self.first_stacks: Stacks | None = Stacks()
        self.first_stacks.start()
        self._stacks: Stacks | None = None
        self._profile: Any = None
        self._later: LaterWindows | None = None
        self._started_ns = 0
        self._windows = 0

    def before_window(self, index: int) -> None:
        """Called when a window is asked for."""
        self._windows += 1
        if self._windows == 2 and self.first_stacks is not None:
            self.first_stacks.stop()
            stacks, self.first_stacks = self.first_stacks, None
            self.found["until its second window"] = told_of(stacks)
            self.write()
        if index <= self.index and self._later is not None:  # of the next run
            self._later.stacks.stop()
            self._later = None
        if index == self.index:
            activities = [torch.profiler.ProfilerActivity.CPU]
            if torch.cuda.is_available():
                torch.cuda.synchronize()
                activities.append(torch.profiler.ProfilerActivity.CUDA)
            self._stacks, self._profile = Stacks(), torch.profiler.profile(activities=activities)
            self._profile.__enter__()
            self._stacks.start()
            self._started_ns = time.time_ns()
        elif self._profile is not None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ended_ns = time.time_ns()
            assert self._stacks is not None
            self._stacks.stop()
            self._profile.__exit__(None, None, None)
            events, self._profile = self._profile.profiler.kineto_results.events(), None
            whole = (self._started_ns, ended_ns)
            self.found[f"window {self.index + 1}"] = timed(events, self._stacks, whole)
            self.write()
            self._later = LaterWindows()
        elif self._later is not None:
            self.found["the windows after it"] = self._later.add_window()
            self.write()

    def write(self) -> None:
        """Put down what was found so far."""
        self.out.write_text(json.dumps(self.found))


def timed(events: Iterable[Any], stacks: Stacks, whole: Interval) -> dict[str, Any]:
    """Where the time of a profiled window went."""
    on_gpu: list[Span] = []
    ranges: dict[str, list[Interval]] = {}
    on_cpu: dict[str, list[Interval]] = {}
    for event in events:
        span = (event.start_ns(), event.start_ns() + event.duration_ns())
        is_gpu = event.device_type() == torch.profiler.DeviceType.CUDA
        if event.name() in RANGES:
            (ranges if is_gpu else on_cpu).setdefault(event.name(), []).append(span)
        elif is_gpu:
            on_gpu.append((event.name(), span))
    ranges = ranges or on_cpu
    inside = merged(span for spans in ranges.values() for span in spans)
    outside = without([whole], inside)
    period_ms = (whole[1] - whole[0]) / 1e6 / max(len({when for when, _, _ in stacks.seen}), 1)
    return {
        "ms": total_ms([whole]),
        "ranges_ms": {name: [total_ms([span]) for span in spans] for name, spans in ranges.items()},
        "forward_kernels_ms": kernels_in(on_gpu, merged(ranges.get("forward", ()))),
        "outside_ms": total_ms(outside),
        "outside_kernels_ms": kernels_in(on_gpu, outside),
        "outside_threads_ms": counted(stacks.during(outside, MAIN), period_ms, 2 * SHOWN),
        **idle_of(on_gpu, inside, whole, stacks, period_ms),
        "writer_ms": counted(stacks.during([whole], WRITER), period_ms),
    }


def kernels_in(on_gpu: list[Span], spans: list[Interval]) -> dict[str, list[float]]:
    """Milliseconds and calls of each kernel that ran wholly within merged intervals, the longest first."""
    times: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for name, span in on_gpu:
        if not without([span], spans):
            times[name[:NAMED]] += span[1] - span[0]
            calls[name[:NAMED]] += 1
    return {name: [round(ns / 1e6, 2), calls[name]] for name, ns in times.most_common(2 * SHOWN)}


def idle_of(
    on_gpu: list[Span], inside: list[Interval], whole: Interval, stacks: Stacks, period_ms: float
) -> dict[str, Any]:
    """When the GPU had nothing to do, and what the server did in the longest of these gaps."""
    busy = merged(span for _, span in on_gpu)
    idle = without([whole], busy) if busy else []
    gaps = sorted((one for one in idle if one[1] - one[0] > LONG_GAP_NS), key=lambda one: one[0] - one[1])
    return {
        "idle_ms": total_ms(idle),
        "idle_outside_ms": total_ms(without(idle, inside)),
        "gaps": [
            {
                "at_ms": total_ms([(whole[0], gap[0])]),
                "ms": total_ms([gap]),
                "in": "outside" if without([gap], inside) else "forward, decode or encode",
                "doing": counted(stacks.during([gap], MAIN), period_ms, 3),
            }
            for gap in gaps[:SHOWN_GAPS]
        ],
    }


def in_range(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, marked in the profile."""

    @wraps(function)
    def marked(*args: Any, **kwargs: Any) -> Any:
        with torch.profiler.record_function(name):
            return function(*args, **kwargs)

    return marked


def find(name: str) -> Any:
    """A class of the pack, once it has been imported."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None) or ""
        found = vars(module).get(name) if PACK in path else None
        if isinstance(found, type) and found.__module__ == getattr(module, "__name__", ""):
            return found
    return None


def hook(profile: WindowProfile) -> None:
    """Put the profile around the pack's own functions, as soon as they are there."""
    wanted: dict[str, Any] = dict.fromkeys(("ComfyBackend", "Codec", "TalkForward"))
    while not all(wanted.values()):
        time.sleep(POLL_S)
        wanted = {name: found or find(name) for name, found in wanted.items()}
    backend, codec, forward = wanted.values()
    sample = backend.sample

    @wraps(sample)
    def watched(self: Any, request: Any) -> Any:
        profile.before_window(request.window.index)
        return sample(self, request)

    backend.sample = watched
    codec.decode, codec.encode = in_range("decode", codec.decode), in_range("encode", codec.encode)
    forward.__call__ = in_range("forward", forward.__call__)


settings: dict[str, Any] = json.loads(os.environ.get(SETTINGS, "{}"))
if settings.get("limit_gib") and torch.cuda.is_available():
    total = torch.cuda.mem_get_info()[1]
    SPARE = torch.empty(int(total - settings["limit_gib"] * GIB), dtype=torch.uint8, device="cuda")
if settings.get("profile") is not None:
    found = WindowProfile(settings["profile"], Path(settings["out"]))
    threading.Thread(target=hook, args=(found,), daemon=True, name="bench-hook").start()
