from dataclasses import dataclass
from typing import Any

import pytest
from evertalk_pack.multitalk.windows.plan import plan_windows
from evertalk_pack.multitalk.windows.prompt_timeline import (
    Keyframe,
    PromptTimeline,
    cue_at,
    first_new_s,
    unused_cues,
)

WINDOWS = plan_windows(250, 81, 9)


def test_a_window_stands_for_the_time_of_its_first_new_frame() -> None:
    assert [first_new_s(window) for window in WINDOWS] == [0, 3.24, 6.12, 9]


def test_a_cue_holds_until_the_next() -> None:
    cues = (Keyframe(0.0, "a"), Keyframe(3.24, "b"), Keyframe(7.0, "c"))
    assert [cue_at(cues, first_new_s(window)).value for window in WINDOWS] == ["a", "b", "b", "c"]
    assert [cue_at(cues, time_s).value for time_s in (0, 3.23, 6.99, 7, 1000)] == list("aabcc")


@dataclass
class CountedCue:
    """A cue that counts how often its time is asked for, over all of them."""

    time_s: float
    asked: list[float]

    @property
    def start_s(self) -> float:
        self.asked.append(self.time_s)
        return self.time_s


def test_a_cue_is_found_without_looking_at_all_of_them() -> None:
    asked: list[float] = []
    cues: Any = [CountedCue(float(index), asked) for index in range(10_000)]
    found = [cue_at(cues, time_s) for time_s in (0, 0.5, 9_998.5, 20_000)]
    assert len(asked) < 4 * 30
    assert [cue.start_s for cue in found] == [0, 0, 9_998, 9_999]


def test_cues_that_no_window_uses_are_named_with_the_time_of_the_last_window() -> None:
    cues = (Keyframe(0.0, "a"), Keyframe(1.0, "b"), Keyframe(2.0, "c"), Keyframe(20.0, "d"))
    notes = unused_cues("prompt", cues, WINDOWS)
    assert [note.split(" is not used")[0] for note in notes] == [
        "schedule: prompt 2 from 1 s",
        "schedule: prompt 4 from 20 s",
    ]
    assert "the last begins at 9.00 s" in notes[0]


def test_no_cues_are_no_unused_cues() -> None:
    assert unused_cues("picture", (), WINDOWS) == ()


@pytest.mark.parametrize("starts", [(1.0,), (0.0, 5.0, 5.0), (0.0, 5.0, 3.0)])
def test_a_schedule_begins_at_zero_and_goes_up(starts: tuple[float, ...]) -> None:
    with pytest.raises(AssertionError, match=r"something holds|cues go up"):
        PromptTimeline(prompts=tuple(Keyframe(start_s, "x") for start_s in starts))
