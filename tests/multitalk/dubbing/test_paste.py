"""Windows go back into a clip's own frames, at their own times."""

from array import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.dubbing.box_text import parse_boxes
from evertalk_pack.multitalk.dubbing.paste import Paster, shown_frames
from evertalk_pack.multitalk.dubbing.source import SourceVideo, open_source
from evertalk_pack.multitalk.dubbing.work_region import RegionView, WorkRegion
from evertalk_pack.multitalk.media.clip_times import ClipTimes, read_clip_times
from evertalk_pack.multitalk.media.frame_clock import SteadyClock, TimedClock
from evertalk_pack.multitalk.media.segment import (
    FFV1,
    H264_MP4,
    Piece,
    StreamForm,
    check_frames,
    remux,
    write_segment,
)
from evertalk_pack.multitalk.media.stream_codecs import VideoSettings
from evertalk_pack.multitalk.windows.settings import FrameSize
from source_clips import at_fps, grey, turn_clockwise, write_clip, write_growing_clip

NTSC = Fraction(30000, 1001)


def steady(fps: Fraction, count: int) -> ClipTimes:
    base = Fraction(1, 90000)
    return ClipTimes(array("q", (round(k / fps / base) for k in range(count))), base, fps)


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), NTSC, Fraction(50), Fraction(60)])
def test_each_frame_of_the_clip_goes_with_the_made_frame_nearest_in_time(fps: Fraction) -> None:
    count = int(2 * fps)
    shown = shown_frames(steady(fps, count), 0, 50)
    assert len(shown.stamps) == count
    assert shown.clock is None
    assert list(shown.made) == [min(int(k / fps * 25 + Fraction(1, 2)), 49) for k in range(count)]


def test_variable_rate_keeps_its_times() -> None:
    stamps = array("q", [0, 1000, 3500, 4000, 9000, 20000, 90000, 93000])
    shown = shown_frames(ClipTimes(stamps, Fraction(1, 90000), Fraction(30)), 0, 26)
    assert shown.stamps == stamps
    assert shown.clock == TimedClock(stamps, Fraction(1, 90000), 3000)
    assert list(shown.made) == [0, 0, 1, 1, 3, 6, 25, 25]


def test_frame_is_never_pasted_from_another_scene() -> None:
    # the clip cuts at its frame 7 (0.2336 s): the made frames 0 to 5 are of the first scene
    cut_s = float(Fraction(7) / NTSC)
    shown = shown_frames(steady(NTSC, 60), 0, 50, (cut_s,))
    assert list(shown.made)[5:9] == [4, 5, 6, 7]
    late_s = float(Fraction(8) / NTSC)  # 0.267 s: nearest is 6.67, so 7, also of the new scene
    shown = shown_frames(steady(NTSC, 60), 0, 50, (late_s,))
    assert list(shown.made)[6:9] == [5, 6, 7]
    assert max(list(shown.made)[:8]) == 6
    assert shown.bare == frozenset()


def test_scene_that_no_made_frame_falls_into_stays_as_it_is() -> None:
    fast = steady(Fraction(100), 100)
    shown = shown_frames(fast, 0, 25, (0.41, 0.43))
    assert shown.bare == frozenset({41, 42})
    assert all(before <= after for before, after in pairwise(shown.made))


def test_clip_longer_than_the_video_ends_with_it() -> None:
    shown = shown_frames(steady(Fraction(30), 300), 0, 50)
    assert len(shown.stamps) == 60


@pytest.mark.parametrize(("made_frames", "expected"), [(48, 60), (49, 60), (51, 60), (52, 60), (55, 66)])
def test_small_differences_of_length_change_nothing_and_a_clip_that_is_shorter_stands_at_its_end(
    made_frames: int, expected: int
) -> None:
    shown = shown_frames(steady(Fraction(30), 60), 0, made_frames)
    assert len(shown.stamps) == expected
    assert shown.made[-1] == min(made_frames - 1, 49 if expected == 60 else 99)
    assert shown.clip_s(expected - 1) == pytest.approx(59 / 30)


def test_video_that_begins_within_a_frame_shows_the_next_one_at_its_time() -> None:
    shown = shown_frames(steady(Fraction(10), 20), 0.25, 25)
    assert list(shown.stamps)[:3] == [0, 4500, 13500]
    assert shown.clip_s(0) == pytest.approx(0.2)


@pytest.mark.parametrize("fps", [25, 30])
def test_frames_a_tick_apart_keep_times_of_their_own_wherever_the_video_begins(fps: int) -> None:
    # AVI counts time in frames
    times = ClipTimes(array("q", range(100)), Fraction(1, fps), Fraction(fps))
    for hundredth in range(200):
        shown = shown_frames(times, hundredth / 100, 20)
        assert list(shown.stamps) == list(range(len(shown.stamps)))
        assert shown.clock is None


@pytest.mark.parametrize(("form", "tick"), [(H264_MP4, 90_000), (FFV1, 90_000), (H264_MP4, 1000)])
def test_frames_too_near_to_each_other_for_a_file_are_shown_a_little_later(
    tmp_path: Path, form: StreamForm, tick: int
) -> None:
    stamps = array("q", [0, tick // 25, tick // 25 + 1, tick // 25 + 2, 4 * tick // 25, 5 * tick // 25])
    times = ClipTimes(stamps, Fraction(1, tick), Fraction(25))
    shown = shown_frames(times, 0, 6)
    found = [Fraction(stamp, tick) for stamp in shown.stamps]
    assert found[2:4] == [found[1] + Fraction(1, 1000), found[1] + Fraction(2, 1000)]
    assert (*found[:2], *found[4:]) == tuple(Fraction(stamps[k], tick) for k in (0, 1, 4, 5))
    settings, segment, made = VideoSettings(), tmp_path / f"a{form.suffix}", tmp_path / f"b{form.suffix}"
    write_segment(
        segment, torch.rand(6, 32, 32, 3, generator=torch.Generator().manual_seed(0)), settings, form
    )
    remux(made, [Piece(segment, 0, 6)], None, {}, settings, form, shown.clock, complete=True)
    check_frames(made, 6, shown.clock)
    assert len(read_clip_times(str(made)).stamps) == 6


def test_clocks_tell_times_and_find_frames() -> None:
    clock = TimedClock(array("q", [0, 10, 30]), Fraction(1, 100), 10)
    assert [clock.ticks(frame) for frame in range(-2, 5)] == [-20, -10, 0, 10, 30, 40, 50]
    assert [clock.frame_at(Fraction(tick, 100)) for tick in (-5, 4, 6, 19, 21, 99)] == [0, 0, 1, 1, 2, 2]
    assert SteadyClock(Fraction(25)).frame_at(Fraction(1, 5)) == 5


@pytest.fixture
def clip(tmp_path: Path) -> SourceVideo:
    return open_source(write_clip(tmp_path / "a.mp4", at_fps(NTSC, 60)))


def paster_of(clip: SourceVideo, text: str = "25%,25%,50%,50%", made_frames: int = 50) -> Paster:
    size = FrameSize(clip.height_px, clip.width_px)
    work = WorkRegion(parse_boxes(text), size, read_clip_times(clip.video), 4, 0.25)
    return Paster(clip, RegionView(work, FrameSize(32, 32)), 0.0, made_frames)


def test_times_are_read_from_the_file(clip: SourceVideo) -> None:
    found = read_clip_times(clip.video)
    assert list(found.stamps) == [3003 * k for k in range(60)]
    assert found.fps == NTSC


def test_outside_the_region_every_pixel_is_the_clips(clip: SourceVideo) -> None:
    paster, reader = paster_of(clip), clip.reader()
    made_FHWC = torch.ones(50, 32, 32, 3) * torch.linspace(0, 1, 50)[:, None, None, None]
    frames = [*paster.window(0, made_FHWC[:20]), *paster.window(20, made_FHWC[20:])]
    assert len(frames) == len(paster.window(0, made_FHWC[:20])) + len(paster.window(20, made_FHWC[20:])) == 60
    for number, frame_HWC in enumerate(frames):
        own_HWC = reader.frame_at(float(number / NTSC))
        outside_HW = torch.ones(64, 64, dtype=torch.bool)
        outside_HW[10:54, 10:54] = False
        assert torch.equal(frame_HWC[outside_HW], own_HWC[outside_HW])
        made = float(made_FHWC[min(round(number / NTSC * 25), 49), 0, 0, 0])
        assert float((frame_HWC[20:44, 20:44] - made).abs().max()) < 1e-5
    assert paster.largest_outside == 0
    assert paster.report().startswith("region: pasted into 60 frames of the clip; largest difference outside")


def test_turned_clip_comes_back_as_it_is_seen(tmp_path: Path) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, :48] = 255
    path = write_clip(tmp_path / "turned.mp4", [(k / 25, picture) for k in range(10)])
    turn_clockwise(path)
    clip = open_source(path)
    assert (clip.height_px, clip.width_px) == (96, 64)
    (frame_HWC,) = paster_of(clip, made_frames=1).window(0, torch.full((1, 32, 32, 3), 0.5))
    assert tuple(frame_HWC.shape) == (96, 64, 3)
    assert float(frame_HWC[2].min()) > 0.9
    assert float(frame_HWC[-3].max()) < 0.1
    assert float((frame_HWC[48, 20:44] - 0.5).abs().max()) < 0.05


@pytest.mark.parametrize("sides", [(64, 128), (128, 64)])
def test_clip_whose_pictures_change_their_size_keeps_that_of_the_first(
    tmp_path: Path, sides: tuple[int, int]
) -> None:
    clip = open_source(write_growing_clip(tmp_path / "grown.h264", sides))
    paster = paster_of(clip, made_frames=10)
    frames = list(paster.window(0, torch.full((10, 32, 32, 3), 0.5)))
    assert {tuple(frame_HWC.shape) for frame_HWC in frames} == {(sides[0], sides[0], 3)}
    middle = slice(sides[0] * 3 // 8, sides[0] * 5 // 8)
    assert all(float((frame_HWC[middle, middle] - 0.5).abs().max()) < 1e-5 for frame_HWC in frames)


def test_how_long_frames_last_is_told_by_their_own_times(clip: SourceVideo) -> None:
    paster = paster_of(clip)
    assert paster.seconds(60) == pytest.approx(60 / float(NTSC))


def test_how_long_frames_of_a_variable_rate_last_is_told_by_their_own_times(tmp_path: Path) -> None:
    pictures = [(time_s, grey(90)) for time_s in (0, 0.04, 1, 2)]
    paster = paster_of(open_source(write_clip(tmp_path / "variable.mp4", pictures)), made_frames=50)
    assert paster.fps == 25
    assert paster.seconds(2) == pytest.approx(1.0)
    assert paster.seconds(4) == pytest.approx(2.04)
