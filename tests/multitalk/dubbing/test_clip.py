from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import FPS
from evertalk_pack.multitalk.dubbing.clip import Dub, DubSource, worked_on
from evertalk_pack.multitalk.dubbing.region import Region
from evertalk_pack.multitalk.dubbing.source import SourceVideo, open_source
from evertalk_pack.multitalk.windows.plan import Window, plan_windows
from evertalk_pack.multitalk.windows.settings import FrameSize
from source_clips import at_fps, level_of, write_clip

SIZE = FrameSize(64, 64)


@pytest.fixture
def clip(tmp_path: Path) -> SourceVideo:
    """Forty frames at 50 a second: 0.8 s."""
    return open_source(write_clip(tmp_path / "a.mp4", at_fps(Fraction(50), 40)))


def play(source: DubSource, said: list[str] | None = None) -> Dub:
    return Dub(source, SIZE, lambda frame_HWC: frame_HWC, (said if said is not None else []).append)


def test_reference_is_the_clips_frame_at_the_windows_start_time(clip: SourceVideo) -> None:
    dub = play(DubSource(clip))
    levels = [level_of(dub.reference(window)) for window in plan_windows(20, 9, 5)]
    assert levels == [0, 8, 16, 24]


def test_start_within_the_clip_moves_all_references(clip: SourceVideo) -> None:
    dub = play(DubSource(clip, start_s=0.1))
    assert level_of(dub.reference(plan_windows(20, 9, 5)[1])) == 13
    assert level_of(DubSource(clip, start_s=0.1).first_frame()) == 5


def test_past_the_clips_end_its_last_frame_is_the_reference(clip: SourceVideo) -> None:
    dub = play(DubSource(clip))
    assert level_of(dub.reference(plan_windows(200, 9, 5)[-1])) == 39


def test_frames_of_a_window_are_the_clips_at_25_a_second(clip: SourceVideo) -> None:
    dub = play(DubSource(clip, denoise=0.5))
    frames_FHWC = dub.start(plan_windows(20, 9, 5)[1])
    assert [level_of(frame_HWC) for frame_HWC in frames_FHWC] == list(range(8, 26, 2))


@pytest.mark.parametrize("is_region", [False, True])
def test_frame_that_is_shown_more_than_once_is_converted_once(tmp_path: Path, is_region: bool) -> None:
    slow = open_source(write_clip(tmp_path / "slow.mp4", at_fps(Fraction(25, 2), 20)))
    source = worked_on(DubSource(slow), "8,8,32,32" if is_region else "", 0.5, 4, is_region=is_region)
    fitted: list[int] = []

    def fit(frame_HWC: torch.Tensor) -> torch.Tensor:
        fitted.append(level_of(frame_HWC))
        return frame_HWC

    dub = Dub(source, SIZE, fit)
    first, second = plan_windows(14, 9, 4)
    levels = [level_of(dub.reference(first)), *map(level_of, dub.frames(first, 9))]
    assert levels == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert fitted == [0, 1, 2, 3, 4]
    assert [level_of(frame_HWC) for frame_HWC in dub.frames(second, 9)] == [2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert fitted == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]


def test_region_that_moves_while_a_frame_is_shown_is_cut_out_anew(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (64, 1, 3))
    pictures = [(number * 2 / FPS, ramp) for number in range(10)]
    slow = open_source(write_clip(tmp_path / "slow.mp4", pictures))
    source = worked_on(DubSource(slow), "0: 0,0,24,24; 0.4: 40,40,24,24", 0.0, 4, is_region=True)
    played = list(play(source).frames(Window(0, 0, 9, 0, 9), 9))
    alone = [play(source).reference(Window(1, number, 9, 4, 5)) for number in range(9)]
    assert all(map(torch.equal, played, alone))
    assert not torch.equal(played[4], played[5]), "the same frame of the clip, and another place"


def test_behind_the_last_frame_before_a_cut_that_frame_stands(clip: SourceVideo) -> None:
    dub = play(DubSource(clip))
    first = plan_windows(20, 9, 5, cuts=[6])[0]
    assert [level_of(frame_HWC) for frame_HWC in dub.frames(first, 9)] == [0, 2, 4, 6, 8, 10, 10, 10, 10]


def test_scenes_picture_is_its_first_reference(clip: SourceVideo) -> None:
    dub = play(DubSource(clip))
    shown: list[int] = []
    for window in plan_windows(20, 9, 5, cuts=[11]):
        dub.reference(window)
        shown.append(level_of(dub.scene_picture()))
    assert shown == [0, 0, 22]


def test_locked_region_puts_the_clip_back_and_says_how_far_the_model_was(clip: SourceVideo) -> None:
    mask = torch.zeros(64, 64)
    mask[:, :32] = 1
    said: list[str] = []
    dub = play(DubSource(clip, region=Region(mask[None], feather_px=4)), said)
    window = plan_windows(20, 9, 5)[1]
    source_FHWC = torch.stack(list(dub.frames(window, 9)))
    finished = dub.finish(window, source_FHWC + 0.25)
    assert torch.equal(finished[:, :, 36:], source_FHWC[:, :, 36:])
    torch.testing.assert_close(finished[:, :, :32], source_FHWC[:, :, :32] + 0.25)
    assert len(said) == 1
    assert "window 2: the model had changed the picture outside the region by 0.2500" in said[0]


def test_without_a_region_frames_stay_what_the_model_made(clip: SourceVideo) -> None:
    frames_FHWC = torch.rand(9, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    assert play(DubSource(clip)).finish(plan_windows(9, 9, 5)[0], frames_FHWC) is frames_FHWC


def test_mask_that_moves_is_the_clips_frames_own(clip: SourceVideo) -> None:
    masks = torch.zeros(40, 64, 64)
    masks[20:] = 1  # from 0.4 s on, the video's tenth frame
    dub = play(DubSource(clip, region=Region(masks, feather_px=0)))
    window = plan_windows(17, 17, 5)[0]
    source_FHWC = torch.stack(list(dub.frames(window, 17)))
    changed = (dub.finish(window, source_FHWC + 0.25) != source_FHWC).flatten(1).any(dim=1)
    assert changed.tolist() == [False] * 10 + [True] * 7


def test_clip_shorter_than_the_speech_is_said(clip: SourceVideo) -> None:
    (note,) = DubSource(clip).notes(video_frames=50)
    assert "source: 0.80 s of clip for 2.00 s of speech" in note
    assert DubSource(clip).notes(video_frames=20) == ()


def test_region_of_a_clip_longer_than_the_speech_ends_with_it_and_says_so(clip: SourceVideo) -> None:
    source = worked_on(DubSource(clip), "25%,25%,50%,50%", 0.5, 4, is_region=True)
    (note,) = source.notes(video_frames=10)
    assert note == "source: 0.40 s of speech for 0.80 s of clip; the video ends with the speech"
    assert source.notes(video_frames=19) == ()


@pytest.mark.parametrize(
    ("boxes", "region", "message"),
    [
        ("", None, r"work_on: 'region', but neither a mask nor a box says where it is"),
        ("1,1,9,9", Region(torch.ones(1, 4, 4)), r"work_on: 'region', but a mask and a box both say where"),
    ],
)
def test_region_needs_one_place(clip: SourceVideo, boxes: str, region: Region | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        worked_on(DubSource(clip, region=region), boxes, 0.5, 4, is_region=True)


def test_clip_that_is_gone_when_its_region_is_looked_for_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "gone.mp4", at_fps(Fraction(25), 5))
    source = DubSource(open_source(path))
    path.unlink()
    with pytest.raises(InputError, match=r"source_video: gone\.mp4 cannot be read as a video .*Choose"):
        worked_on(source, "25%,25%,50%,50%", 0.5, 4, is_region=True)


def test_cuts_that_are_found_later_are_those_of_the_region_too(clip: SourceVideo) -> None:
    source = worked_on(DubSource(clip), "25%,25%,50%,50%", 0.5, 4, is_region=True).with_cuts((0.2,))
    assert source.cuts == (5,)
    assert source.work is not None
    assert source.work.cuts_s == (0.2,)
    assert DubSource(clip).with_cuts((0.2,)).cuts == (5,)


def test_too_few_masks_are_said(clip: SourceVideo) -> None:
    (note,) = DubSource(clip, region=Region(torch.ones(12, 4, 4))).notes(video_frames=20)
    assert note.startswith("region: 12 masks for the 40 frames of the clip")
    assert DubSource(clip, region=Region(torch.ones(1, 4, 4))).notes(video_frames=20) == ()


@pytest.mark.parametrize("denoise", [0.0, -0.5, 1.5])
def test_denoise_outside_its_range_is_refused(clip: SourceVideo, denoise: float) -> None:
    with pytest.raises(InputError, match=f"denoise: {denoise:g}, expected more than 0"):
        DubSource(clip, denoise=denoise)


def test_start_behind_the_clips_end_is_refused(clip: SourceVideo) -> None:
    with pytest.raises(InputError, match=r"start_s: 3 s, but a\.mp4 lasts 0\.80 s"):
        DubSource(clip, start_s=3)


def test_source_says_what_it_is(clip: SourceVideo) -> None:
    text = str(DubSource(clip, cuts_s=(0.4,)))
    assert text.startswith("a.mp4: 0.80 s, 64x64, 50 frames a second, without sound, 1 scene cuts")
