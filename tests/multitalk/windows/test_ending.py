"""A picture that the video ends on: where it stands, what the mask marks, and that other windows stay."""

import pytest
import torch
from evertalk_pack.multitalk.windows.ending import Ending, ending_notes, ending_of, unknown_mask
from evertalk_pack.multitalk.windows.modes import InfiniteTalkMode, MultiTalkMode, WindowInputs
from evertalk_pack.multitalk.windows.plan import plan_windows

PICTURE = torch.full((8, 8, 3), 0.75)
REFERENCE = torch.full((8, 8, 3), 0.25)
WINDOW = 17


def kept(frames_FHWC: torch.Tensor) -> torch.Tensor:
    """An encoder that shows what it was given: a frame a latent."""
    return frames_FHWC.movedim(-1, 0)[None]


@pytest.mark.parametrize(("frames", "leads"), [(17, False), (20, False), (23, True), (41, False)])
def test_the_picture_stands_in_the_last_frames_that_the_video_shows(frames: int, leads: bool) -> None:
    windows = plan_windows(frames, WINDOW, 5, leads=leads)
    last = windows[-1]
    ending = ending_of(last, PICTURE)
    begins = last.frames - ending.frames
    assert begins >= last.skipped, "not in frames that the video has already"
    assert last.skipped + last.new - begins == min(5, last.new)


def test_a_short_last_window_is_told() -> None:
    assert ending_notes(plan_windows(81, 81, 9)[-1]) == ()
    (note,) = ending_notes(plan_windows(84, 81, 9)[-1])
    assert note.startswith("end_image: the last window adds 3 frames, so the video comes to it at once.")


def test_the_mask_knows_single_frames_at_the_end() -> None:
    assert unknown_mask(3, 1, 0).flatten().tolist() == [0, 1, 1]
    mask_CT = unknown_mask(3, 1, 5)[0, :, :, 0, 0]
    assert mask_CT.shape == (4, 3)
    assert mask_CT[:, 0].tolist() == [0, 0, 0, 0]
    assert mask_CT[:, 1].tolist() == [1, 1, 1, 0], "its last frame is the first of five"
    assert mask_CT[:, 2].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("mode", [InfiniteTalkMode(), MultiTalkMode()], ids=["infinitetalk", "multitalk"])
def test_the_condition_ends_on_the_picture(mode: InfiniteTalkMode | MultiTalkMode) -> None:
    motion_FHWC = torch.full((5, 8, 8, 3), 0.5)
    plain = mode.condition(WindowInputs(REFERENCE, motion_FHWC, WINDOW), kept)
    ended = mode.condition(WindowInputs(REFERENCE, motion_FHWC, WINDOW, Ending(PICTURE, 5)), kept)
    again = mode.condition(WindowInputs(REFERENCE, motion_FHWC, WINDOW), kept)
    assert torch.equal(ended.picture_BCTHW[:, :, -5:], kept(PICTURE.expand(5, -1, -1, -1)))
    assert torch.equal(ended.picture_BCTHW[:, :, :-5], plain.picture_BCTHW[:, :, :-5])
    assert torch.equal(again.picture_BCTHW, plain.picture_BCTHW)
    assert (plain.known_at_end, ended.known_at_end) == (0, 5)
    assert plain.unknown_BCTHW.shape[1] == 1
    assert ended.unknown_BCTHW.shape == (1, 4, WINDOW, 8, 8)
