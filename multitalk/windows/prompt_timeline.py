"""What changes while a video runs: prompts and start pictures, each from a time on.

A window uses what holds at the time of its first new frame: the frames that it repeats from the window before
were made with what held there.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from ..common.types import FPS
from .plan import Window

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Keyframe(Generic[Value]):
    """What holds from a time on, until the next cue.

    Attributes:
        start_s: from when, in seconds of the video.
        value: what holds.
    """

    start_s: float
    value: Value


@dataclass(frozen=True, slots=True)
class PromptTimeline:
    """Prompts and start pictures over time; each begins at 0 s and goes up in time, or is empty.

    Attributes:
        prompts: encoded prompts, as the sampler takes them; empty: one prompt for the whole video.
        pictures: start pictures (height, width, 3), 0..1; empty: one picture for the whole video.
        end_BHWC: the IMAGE that the video ends on, 0..1, or None.
    """

    prompts: tuple[Keyframe[Any], ...] = ()
    pictures: tuple[Keyframe[torch.Tensor], ...] = ()
    end_BHWC: torch.Tensor | None = None

    def __post_init__(self) -> None:
        for cues in (self.prompts, self.pictures):
            starts = [cue.start_s for cue in cues]
            assert not starts or starts[0] == 0, "something holds from the beginning"
            assert starts == sorted(set(starts)), "cues go up in time"


def first_new_s(window: Window) -> float:
    """The time of the first frame that a window adds to the video, in seconds."""
    return (window.start + window.skipped) / FPS


def cue_at(cues: Sequence[Keyframe[Value]], time_s: float) -> Keyframe[Value]:
    """The cue that holds at a time: the last one that has started."""
    # By halves: it is asked for each window, and each may have a cue of its own.
    return cues[bisect_right(cues, time_s, key=lambda cue: cue.start_s) - 1]


def unused_cues(name: str, cues: Sequence[Keyframe[Any]], windows: Sequence[Window]) -> tuple[str, ...]:
    """A sentence for each cue that no window uses: it starts after the last one, or two fall into one."""
    used = {cue_at(cues, first_new_s(window)).start_s for window in windows} if cues else set[float]()
    return tuple(
        f"schedule: {name} {number} from {cue.start_s:g} s is not used: no window begins while it holds (the "
        f"last begins at {first_new_s(windows[-1]):.2f} s)"
        for number, cue in enumerate(cues, start=1)
        if cue.start_s not in used
    )
