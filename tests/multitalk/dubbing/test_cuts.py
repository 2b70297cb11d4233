import colorsys
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from evertalk_pack.multitalk.dubbing.cuts import change_of, cut_frames, find_cuts
from evertalk_pack.multitalk.media.frame_reader import FrameReader
from numpy.typing import NDArray
from source_clips import grey, write_clip

NTSC = Fraction(30000, 1001)


def scenes(lengths: list[int]) -> list[NDArray[np.uint8]]:
    """Frames of scenes of one grey each, dark and bright in turn."""
    return [
        grey(40 if number % 2 == 0 else 200) for number, length in enumerate(lengths) for _ in range(length)
    ]


def clip_reader(path: Path, lengths: list[int], fps: Fraction) -> FrameReader:
    frames = scenes(lengths)
    return FrameReader(str(write_clip(path, [(float(k / fps), frame) for k, frame in enumerate(frames)])))


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(60)])
def test_cuts_are_the_times_of_the_first_frames_of_scenes(tmp_path: Path, fps: Fraction) -> None:
    cuts_s = find_cuts(clip_reader(tmp_path / "a.mp4", [40, 45, 50], fps))
    assert cuts_s == pytest.approx([float(40 / fps), float(85 / fps)], abs=0.001)


def test_cut_in_a_clip_of_variable_rate_is_found_by_time(tmp_path: Path) -> None:
    times_s = [0.0, 0.5, 0.52, 0.54, 1.7, 1.9, 2.0, 2.9]
    frames = scenes([4, 4])
    reader = FrameReader(str(write_clip(tmp_path / "a.mp4", list(zip(times_s, frames, strict=True)))))
    assert find_cuts(reader) == pytest.approx((1.7,), abs=1e-4)


def test_one_scene_has_no_cut(tmp_path: Path) -> None:
    assert find_cuts(clip_reader(tmp_path / "a.mp4", [60], Fraction(25))) == ()


def test_scenes_shorter_than_the_least_are_no_runs_of_their_own(tmp_path: Path) -> None:
    cuts_s = find_cuts(clip_reader(tmp_path / "a.mp4", [40, 2, 2, 2, 40], Fraction(25)))
    assert len(cuts_s) == 1
    assert cuts_s[0] == pytest.approx(1.6, abs=0.3)


def test_threshold_above_the_change_finds_nothing(tmp_path: Path) -> None:
    assert find_cuts(clip_reader(tmp_path / "a.mp4", [40, 40], Fraction(25)), threshold=250) == ()


def test_search_can_be_stopped_at_a_frame(tmp_path: Path) -> None:
    def stop_late(time_s: float) -> None:
        if time_s > 0.5:
            raise InterruptedError(f"at {time_s:.2f} s")

    with pytest.raises(InterruptedError, match=r"at 0\.52 s"):
        find_cuts(clip_reader(tmp_path / "a.mp4", [40, 40], Fraction(25)), on_frame=stop_late)


def test_cut_becomes_the_first_video_frame_that_shows_the_new_scene() -> None:
    # at 25 fps frame 40 stands at 1.6 s; at 29.97 the new scene comes at 1.335 s, seen from frame 34 on
    assert cut_frames([1.6, 1.335], 0.0) == (34, 40)


@pytest.mark.parametrize(
    "fps", [Fraction(24), Fraction(24000, 1001), Fraction(25), NTSC, Fraction(50), Fraction(60)]
)
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_cut_frame_is_the_first_whose_reference_shows_the_new_scene(
    tmp_path: Path, fps: Fraction, container: str
) -> None:
    for length in range(int(fps * 4 / 5), int(fps * 4 / 5) + 4):
        reader = clip_reader(tmp_path / f"{length}.{container}", [length, 50], fps)
        (cut,) = cut_frames(find_cuts(reader), 0.0)
        before, after = (float(reader.frame_at(frame / 25).mean()) for frame in (cut - 1, cut))
        assert (before < 0.3, after > 0.6) == (True, True)


def test_cuts_before_the_start_are_left_out_and_the_others_count_from_it() -> None:
    assert cut_frames([0.4, 1.0, 3.0], 1.0) == (50,)


def test_detector_is_imported_only_when_it_is_used() -> None:
    module = sys.modules["evertalk_pack.multitalk.dubbing.cuts"]
    assert not {"scenedetect", "cv2"} & set(vars(module))


HUES = range(0, 360, 15)


def room(hue_deg: float, seed: int, *, saturation: float = 0.8, value: float = 0.7) -> NDArray[np.uint8]:
    """A wall of one colour with a camera's noise, and somebody grey before it."""
    rgb = np.array(colorsys.hsv_to_rgb(hue_deg % 360 / 360, saturation, value)) * 255
    wall = np.broadcast_to(rgb, (72, 128, 3)).copy()
    wall[20:, 50:80] = (150, 140, 130)
    noise = np.random.default_rng(seed).normal(0, 2, wall.shape)
    return (wall + noise).clip(0, 255).astype(np.uint8)


def cuts_of(path: Path, frames: list[NDArray[np.uint8]]) -> tuple[float, ...]:
    return find_cuts(FrameReader(str(write_clip(path, [(k / 25, frame) for k, frame in enumerate(frames)]))))


@pytest.mark.parametrize("hue_deg", [*HUES, 1, 2, 357, 358, 359])
def test_a_still_shot_before_a_wall_of_any_colour_has_no_cut(tmp_path: Path, hue_deg: int) -> None:
    light = np.where(np.arange(60) < 30, -1, 1)  # the sun comes out, and warms the colour by a shade
    frames = [
        room(hue_deg + 3 * light[k], k, value=0.7 + 0.01 * light[k], saturation=0.8 + 0.01 * light[k])
        for k in range(60)
    ]
    assert cuts_of(tmp_path / "still.mp4", frames) == ()


@pytest.mark.parametrize("saturation", [0.0, 0.05, 0.15, 0.3])
def test_a_still_shot_before_a_pale_wall_has_no_cut(tmp_path: Path, saturation: float) -> None:
    frames = [room(0, k, saturation=saturation) for k in range(60)]
    assert cuts_of(tmp_path / "pale.mp4", frames) == ()


@pytest.mark.parametrize("hue_deg", HUES)
@pytest.mark.parametrize("apart_deg", [120, 150, 180])
def test_a_cut_between_rooms_of_other_colours_is_found(tmp_path: Path, hue_deg: int, apart_deg: int) -> None:
    frames = [room(hue_deg, k) for k in range(30)] + [room(hue_deg + apart_deg, k) for k in range(30)]
    assert cuts_of(tmp_path / "cut.mp4", frames) == pytest.approx((1.2,), abs=0.001)


def test_hue_is_a_circle_and_grey_has_none() -> None:
    def change(*pixels: tuple[int, int, int]) -> float:
        before, now = (np.full((4, 4, 3), pixel, np.float32) for pixel in pixels)
        return change_of(before, now)

    assert change((179, 255, 255), (0, 255, 255)) == pytest.approx(2 / 3)
    assert change((0, 255, 255), (60, 255, 255)) == pytest.approx(120 / 3)
    assert change((120, 255, 255), (0, 255, 255)) == pytest.approx(120 / 3)
    assert change((0, 255, 255), (90, 255, 255)) == pytest.approx(180 / 3)
    assert change((0, 0, 200), (90, 0, 100)) == pytest.approx(100 / 3), "greys differ in value alone"
    assert change((0, 255, 32), (90, 255, 32)) == pytest.approx(90 / 3), "in the dark hue counts by half"
