from typing import Any

import pytest
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.windows.settings import (
    FrameSize,
    NoiseSchedule,
    WindowSettings,
    checked_schedule,
    checked_size,
    checked_windows,
)


def test_the_defaults_are_what_the_weights_were_trained_on_and_need_no_note() -> None:
    assert checked_windows(WindowSettings()) == (WindowSettings(81, 9), ())


def test_both_frame_counts_snap_down_and_say_so() -> None:
    used, notes = checked_windows(WindowSettings(80, 12))
    assert used == WindowSettings(77, 9)
    assert notes == (
        "window_frames 80 became 77: frames come as 4n+1",
        "motion_frames 12 became 9: frames come as 4n+1",
    )


def test_motion_that_fits_only_after_snapping_is_taken() -> None:
    assert checked_windows(WindowSettings(9, 8))[0] == WindowSettings(9, 5)


@pytest.mark.parametrize(
    ("window", "motion", "message"),
    [
        (8, 1, "window_frames: 8 frames, expected 9 to 81: .*Use 81"),
        (0, 1, "window_frames: 0 frames"),
        (82, 9, "window_frames: 82 frames, expected 9 to 81"),
        (81, 0, "motion_frames: 0 frames, expected 1 or more: .*Use 9"),
        (81, 81, r"motion_frames: 81 frames, expected fewer than window_frames \(81\): .*Use 9"),
        (12, 9, r"motion_frames: 9 frames, expected fewer than window_frames \(9\)"),
    ],
)
def test_windows_that_cannot_be_are_refused(window: int, motion: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_windows(WindowSettings(window, motion))


def test_sides_snap_to_multiples_of_16_and_say_so() -> None:
    size, notes = checked_size(481, 831)
    assert size == FrameSize(480, 832)
    assert notes == (
        "height 481 became 480: sides are multiples of 16",
        "width 831 became 832: sides are multiples of 16",
    )
    assert checked_size(480, 832) == (FrameSize(480, 832), ())


@pytest.mark.parametrize(
    ("height", "width", "message"),
    [
        (0, 64, "height: 0 pixels, expected 16 to 4096. 480x832"),
        (64, -5, "width: -5 pixels, expected 16 to 4096"),
        (64, 5000, "width: 5000 pixels, expected 16 to 4096"),
    ],
)
def test_sizes_that_cannot_be_are_refused(height: int, width: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_size(height, width)


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_multitalk_takes_its_four_steps_and_says_that_steps_is_not_used(steps: int) -> None:
    used, notes = checked_schedule(NoiseSchedule("multitalk", steps))
    assert used.steps == 4
    assert notes == (
        f"scheduler multitalk always runs its 4 timesteps (1000, 750, 500, 250); steps={steps} is not used",
    )


def test_other_schedules_take_the_steps_asked_for() -> None:
    asked = NoiseSchedule("infinitetalk", 40)
    assert checked_schedule(asked) == (asked, ())
    assert not asked.steps_are_fixed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scheduler": "infinitetalk", "steps": 0}, "steps: 0, expected 1 or more. Use 4"),
        ({"shift": 0.0}, "shift: 0, expected more than 0. Use 11"),
        ({"shift": -1.5}, "shift: -1.5, expected more than 0"),
        ({"shift": float("nan")}, "shift: nan, expected more than 0"),
    ],
)
def test_schedules_that_cannot_be_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_schedule(NoiseSchedule(**changed))
