"""The faults that `gpu_faults.py` provokes, and what is promised of each."""

import re
from dataclasses import dataclass, field
from typing import Any

from fault_words import FAILED, KEPT, NO_GPU_MEMORY

WINDOWS, STEPS = 3, 2
"""Of each run, and of each of its windows."""

SPARE_GB = 0.5
"""By how much more GPU memory may be taken after a fault than before: kernels that were loaded meanwhile."""

EVERY_CALL = 1_000_000
ONCE = "did not suffice; begun again"
SECOND_WINDOW = STEPS
"""How many steps go well before it."""


@dataclass(frozen=True, slots=True)
class GpuFault:
    """A fault and what is promised of it.

    Attributes:
        name: as --only has it.
        place, kind, after, times: see the Fault of tests/nodes/fault_pack; place `process`: another process
            takes all memory that is free once the first window is written.
        words: what the run must end with; empty where it must go on to its end.
        finished: the windows that are surely finished before it; -1 where that is not known.
        may_go_on: as well.
        said: what a run that goes on says on its way.
        is_for_cpu: it can be tried on a CPU.
        breaks_gpu: the GPU does nothing more for the process, which must be started anew.
        unloads: the models are to be in RAM before.
    """

    name: str
    place: str
    kind: str
    after: int = 0
    times: int = EVERY_CALL
    words: str = ""
    finished: int = -1
    may_go_on: bool = False
    said: str = ""
    is_for_cpu: bool = True
    breaks_gpu: bool = False
    unloads: bool = False


SHORT = f"{NO_GPU_MEMORY}.*{KEPT}"
HOSTS_OWN = r"\((?!EverTalk)\w+\) failed: .*out of memory"
"""A node of the host that has no room: its own words."""
BROKEN = f"{FAILED}.*{KEPT}"
NO_NUMBERS = f"a later step gave NaN.*{KEPT}"
LATER_STEP = SECOND_WINDOW + 1
FAULTS = (
    GpuFault(
        "weights",
        "weights",
        "full",
        1,
        words=f"{SHORT}|{HOSTS_OWN}",
        may_go_on=True,
        is_for_cpu=False,
        unloads=True,
    ),
    GpuFault("speech", "speech", "full", words=NO_GPU_MEMORY, finished=0),
    GpuFault("encode", "encode", "full", 1, words=SHORT, finished=1),
    GpuFault("step", "step", "full", LATER_STEP, words=SHORT, finished=1),
    GpuFault("step once", "step", "full", LATER_STEP, 1, said=ONCE),
    GpuFault("decode", "decode", "full", 1, words=SHORT, finished=1),
    GpuFault("decode once", "decode", "full", 1, 1),
    GpuFault("NaN step", "step", "nan", LATER_STEP, 1, NO_NUMBERS, 1, may_go_on=True, said="gave NaN"),
    GpuFault("NaN frames", "decode", "nan", 1, 1, f"the frames of window 2 hold NaN.*{KEPT}", 1),
    GpuFault("process", "process", "", words=SHORT, may_go_on=True, is_for_cpu=False),
    GpuFault("assert", "step", "assert", LATER_STEP, 1, BROKEN, 1, is_for_cpu=False, breaks_gpu=True),
)
"""In this order; the one that a server does not survive comes last."""


@dataclass(slots=True)
class Seen:
    """What was seen of a fault.

    Attributes:
        error: the words that the run ended with; empty where it went on to its end.
        texts: what it said.
        met: what the calls that met the fault raised; an empty text for nothing.
        written: windows said to be written.
        kept: windows that were finished when it ended.
        kept_packets: theirs, where it did not go on to its end.
        film_packets: of the video at last.
        made_again: windows that the next run made; None where there was none.
        frames: of the video at last, and of the one that nothing disturbed.
        used_gb: GPU memory before, behind the fault, behind the next run.
        usable: whether the server did a small job after it.
    """

    error: str = ""
    texts: list[str] = field(default_factory=list)
    met: list[str] = field(default_factory=list)
    written: set[int] = field(default_factory=set)
    kept: int = 0
    kept_packets: list[str] = field(default_factory=list)
    film_packets: list[str] = field(default_factory=list)
    made_again: int | None = None
    frames: tuple[int, int] = (0, 0)
    used_gb: list[float] = field(default_factory=list)
    usable: bool = False


def broken_promises(fault: GpuFault, seen: Seen, *, on_gpu: bool) -> list[str]:
    """What of the promises was not kept, as sentences."""
    checks: list[tuple[bool, str]] = [
        (bool(seen.met) or fault.place == "process", "the fault did not come"),
        (
            not on_gpu or fault.kind != "full" or fault.place == "weights" or any(seen.met),
            "no call failed for want of memory",
        ),
        (seen.usable or fault.breaks_gpu, "the server did no small job after it"),
        (seen.frames[0] == seen.frames[1], "the video has {} frames instead of {}".format(*seen.frames)),
        (
            all(used <= seen.used_gb[0] + SPARE_GB for used in seen.used_gb[1:]),
            f"GPU memory is not given back: {seen.used_gb} GB before, behind the fault, at the end",
        ),
    ]
    if seen.error:
        checks += ended_checks(fault, seen)
    else:
        checks += [
            (not fault.words or fault.may_go_on, "the run did not end"),
            (not fault.said or any(re.search(fault.said, text) for text in seen.texts), "nothing was said"),
        ]
    return [words for is_kept, words in checks if not is_kept]


def ended_checks(fault: GpuFault, seen: Seen) -> list[tuple[bool, str]]:
    """What is promised of a run that was ended."""
    kept, left = seen.kept, WINDOWS - seen.kept
    film_begins = seen.film_packets[: len(seen.kept_packets)]
    return [
        (bool(fault.words), "the run ended where it could go on"),
        (not fault.words or bool(re.search(fault.words, seen.error)), "the words are others"),
        (fault.finished in {-1, kept}, f"{kept} windows were finished instead of {fault.finished}"),
        (seen.written <= set(range(kept)), "a window that was said to be written is lost"),
        (bool(seen.kept_packets) == bool(kept), "a window that is named as finished has no pictures"),
        (seen.kept_packets == film_begins, "a finished window was changed"),
        (seen.made_again == left, f"the next run made {seen.made_again} windows instead of {left}"),
    ]


def row_of(fault: GpuFault, seen: Seen, *, on_gpu: bool) -> dict[str, Any]:
    """The fault's row."""
    ended = "ended with words" if seen.error else "went on"
    return {
        "fault": fault.name,
        "ended": ended,
        "words": seen.error,
        "said": [text for text in seen.texts if fault.said and re.search(fault.said, text)],
        "met": len(seen.met),
        "raised": sorted({text for text in seen.met if text}),
        "windows_kept": seen.kept,
        "made_by_next_run": seen.made_again,
        "frames": seen.frames[0],
        "usable": seen.usable,
        "used_gb": seen.used_gb,
        "broken": broken_promises(fault, seen, on_gpu=on_gpu),
    }
