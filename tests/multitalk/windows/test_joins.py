import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from evertalk_pack.multitalk.windows.joins import FrameChunk, join_windows
from evertalk_pack.multitalk.windows.loop import FinishedWindow
from evertalk_pack.multitalk.windows.plan import Window, plan_windows

LATENTS = torch.zeros(1, 16, 1, 1, 1)


def render(window: Window, gap: float) -> torch.Tensor:
    """A window's frames: each holds its number in the video, plus `gap` times the window's."""
    numbers = torch.arange(window.start, window.start + window.frames).float() + gap * window.index
    return numbers[:, None, None, None].repeat(1, 1, 1, 3)


def finish(windows: tuple[Window, ...], gap: float = 1000) -> Iterator[FinishedWindow]:
    for window in windows:
        yield FinishedWindow(window, LATENTS, render(window, gap))


def play(windows: tuple[Window, ...], blend_frames: int, gap: float = 1000) -> list[FrameChunk]:
    return list(join_windows(finish(windows, gap), blend_frames, len(windows)))


@pytest.mark.parametrize("blend_frames", [0, 1, 3, 5])
@pytest.mark.parametrize("video_frames", [1, 13, 14, 21, 45])
def test_every_frame_comes_once_and_in_order(video_frames: int, blend_frames: int) -> None:
    windows = plan_windows(video_frames, 13, 5)
    stretches = play(windows, blend_frames, gap=0)
    numbers = torch.cat([stretch.frames_FHWC for stretch in stretches])[:, 0, 0, 0]
    assert numbers.tolist() == list(range(video_frames))


def test_without_blend_the_frames_are_the_windows_own() -> None:
    windows = plan_windows(30, 13, 5)
    for stretch, finished in zip(play(windows, 0), finish(windows), strict=True):
        assert torch.equal(stretch.frames_FHWC, finished.frames_FHWC)
        assert stretch.join == 0


def test_last_shared_frames_go_over_linearly_from_one_rendering_to_the_next() -> None:
    windows = plan_windows(21, 13, 5)
    frames = torch.cat([stretch.frames_FHWC for stretch in play(windows, 3)])[:, 0, 0, 0]
    expected = torch.arange(21.0)
    expected[10:13] += torch.tensor([250.0, 500.0, 750.0])
    expected[13:] += 1000
    torch.testing.assert_close(frames, expected)


def test_where_a_window_begins_afresh_nothing_is_blended() -> None:
    windows = (Window(0, 0, 13, 0, 13), Window(1, 13, 13, 0, 8))
    first, second = play(windows, 3)
    numbers = torch.cat([first.frames_FHWC, second.frames_FHWC])[:, 0, 0, 0]
    assert numbers.tolist() == [*range(13), *range(1013, 1021)]
    assert second.join == 3


def test_scene_shorter_than_the_blend_waits_whole() -> None:
    windows = (Window(0, 0, 13, 0, 2), Window(1, 2, 13, 0, 5))
    first, second = play(windows, 3)
    assert (len(first.frames_FHWC), len(second.frames_FHWC), second.join) == (0, 7, 2)


def test_frames_that_wait_are_counted_before_the_join_of_the_window_that_frees_them() -> None:
    stretches = play(plan_windows(29, 13, 5), 3)
    assert [(len(stretch.frames_FHWC), stretch.join) for stretch in stretches] == [(10, 0), (8, 3), (11, 3)]
    assert [stretch.is_last for stretch in stretches] == [False, False, True]


@pytest.mark.parametrize("motion", [5, 9])
def test_a_window_is_let_go_before_the_next_one_is_made(motion: int) -> None:
    plan, left = plan_windows(29, 13, motion), 0

    def made() -> Iterator[FinishedWindow]:
        nonlocal left
        for window in finish(plan):
            frames = weakref.ref(window.made_FHWC)
            yield window
            del window
            left += frames() is not None

    for stretch in join_windows(made(), 3, len(plan)):
        assert len(stretch.frames_FHWC)
        del stretch
    assert left == 0


def test_a_soft_join_makes_no_second_window() -> None:
    for stretch in play(plan_windows(45, 13, 5), 3):
        frames = stretch.frames_FHWC
        assert frames.untyped_storage().data_ptr() == stretch.finished.made_FHWC.untyped_storage().data_ptr()


def test_what_the_next_window_begins_from_is_not_blended() -> None:
    """Windows of 13 frames that share 9: the last 9 reach into the first 9."""
    plan = plan_windows(29, 13, 9)
    windows = [replace(window, motion_FHWC=window.made_FHWC[-9:]) for window in finish(plan)]
    before = [window.made_FHWC.clone() for window in windows]
    for stretch, made in zip(join_windows(windows, 3, len(plan)), before, strict=True):
        assert stretch.finished.motion_FHWC is not None
        assert torch.equal(stretch.finished.motion_FHWC, made[-9:])
