import pytest
from evertalk_pack.multitalk.windows.plan import Window, plan_windows
from hypothesis import given
from hypothesis import strategies as st


@given(frames=st.integers(1, 2000), window=st.integers(2, 81), data=st.data())
def test_windows_add_up_to_the_video_without_gap_or_overlap(
    frames: int, window: int, data: st.DataObject
) -> None:
    motion = data.draw(st.integers(1, window - 1))
    windows = plan_windows(frames, window, motion)
    places = [
        place for one in windows for place in range(one.start + one.motion, one.start + one.motion + one.new)
    ]
    assert places == list(range(frames))
    assert all(one.new >= 1 and one.frames == window for one in windows)
    assert [one.index for one in windows] == list(range(len(windows)))


def test_one_frame_takes_one_whole_window() -> None:
    assert plan_windows(1, 81, 9) == (Window(0, 0, 81, 0, 1),)


def test_exactly_one_window() -> None:
    assert plan_windows(81, 81, 9) == (Window(0, 0, 81, 0, 81),)


def test_one_frame_more_than_a_window_takes_a_second() -> None:
    assert plan_windows(82, 81, 9) == (Window(0, 0, 81, 0, 81), Window(1, 72, 81, 9, 1))


def test_each_later_window_begins_with_the_end_of_the_one_before() -> None:
    first, second, third = plan_windows(225, 81, 9)
    assert second.start + second.motion == first.start + first.frames
    assert third.start + third.motion == second.start + second.frames
    assert (first.motion, second.motion, third.new) == (0, 9, 72)


def test_a_minute_is_21_windows() -> None:
    assert len(plan_windows(1500, 81, 9)) == 21


@pytest.mark.parametrize(("frames", "window", "motion"), [(0, 81, 9), (81, 9, 9), (81, 9, 0)])
def test_plans_that_cannot_be_are_a_mistake_of_the_caller(frames: int, window: int, motion: int) -> None:
    with pytest.raises(AssertionError):
        plan_windows(frames, window, motion)
