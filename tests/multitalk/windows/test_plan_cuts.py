from itertools import pairwise

import pytest
from evertalk_pack.multitalk.windows.plan import plan_windows
from hypothesis import given
from hypothesis import strategies as st

LENGTHS = st.integers(1, 400)
CUTS = st.lists(st.integers(0, 450), unique=True, max_size=8).map(sorted)
SIZES = st.sampled_from([(9, 1), (9, 5), (17, 9), (81, 9), (81, 25)])


@given(LENGTHS, CUTS, SIZES)
def test_every_frame_comes_from_exactly_one_window(
    video_frames: int, cuts: list[int], sizes: tuple[int, int]
) -> None:
    windows = plan_windows(video_frames, *sizes, cuts)
    given_frames = [frame for window in windows for frame in range(window.start + window.motion, window.end)]
    assert given_frames == list(range(video_frames))
    assert [window.index for window in windows] == list(range(len(windows)))


@given(LENGTHS, CUTS, SIZES)
def test_no_window_crosses_a_cut(video_frames: int, cuts: list[int], sizes: tuple[int, int]) -> None:
    windows = plan_windows(video_frames, *sizes, cuts)
    assert [(window, cut) for window in windows for cut in cuts if window.start < cut < window.end] == []


@given(LENGTHS, CUTS, SIZES)
def test_windows_begin_afresh_at_the_start_and_at_cuts_alone(
    video_frames: int, cuts: list[int], sizes: tuple[int, int]
) -> None:
    fresh = [window.start for window in plan_windows(video_frames, *sizes, cuts) if window.motion == 0]
    assert fresh == sorted({0, *(cut for cut in cuts if 0 < cut < video_frames)})


@given(LENGTHS, CUTS, SIZES)
def test_motion_frames_are_the_last_that_the_window_before_gave(
    video_frames: int, cuts: list[int], sizes: tuple[int, int]
) -> None:
    windows = plan_windows(video_frames, *sizes, cuts)
    for before, window in pairwise(windows):
        if window.motion:
            assert before.start + before.frames == before.end == window.start + window.motion


def test_scene_of_two_frames_gets_a_window_of_its_own() -> None:
    windows = plan_windows(30, 17, 9, [20, 22])
    assert [(window.start, window.motion, window.new) for window in windows] == [
        (0, 0, 17),
        (8, 9, 3),
        (20, 0, 2),
        (22, 0, 8),
    ]


def test_cuts_must_rise() -> None:
    with pytest.raises(AssertionError, match="cuts rise"):
        plan_windows(30, 17, 9, [20, 10])
