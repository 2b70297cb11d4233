"""A region is followed, cut out with its surroundings, and what may change of it is told."""

from array import array
from fractions import Fraction

import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.dubbing.box_text import parse_boxes
from evertalk_pack.multitalk.dubbing.box_track import track_of_cues, track_of_masks
from evertalk_pack.multitalk.dubbing.crop import ClipBox, crop_box, cut_out
from evertalk_pack.multitalk.dubbing.region import Region, match_outside
from evertalk_pack.multitalk.dubbing.work_region import RegionView, WorkRegion
from evertalk_pack.multitalk.media.clip_times import ClipTimes
from evertalk_pack.multitalk.windows.settings import FrameSize

CLIP, SIZE = FrameSize(240, 320), FrameSize(64, 64)


def times(count: int, fps: int = 25) -> ClipTimes:
    return ClipTimes(array("q", range(count)), Fraction(1, fps), Fraction(fps))


def test_box_with_keyframes_moves_evenly_and_stays_before_and_behind_them() -> None:
    track = track_of_cues(parse_boxes("1s: 10%,0%,25%,50%; 0:03: 50%,0%,25%,50%"), CLIP)
    assert track.at(0) == track.at(1) == ClipBox(32, 0, 80, 120)
    assert track.at(2) == ClipBox(96, 0, 80, 120)
    assert track.at(9) == ClipBox(160, 0, 80, 120)


def test_lone_box_needs_no_time() -> None:
    assert track_of_cues(parse_boxes(" 16,24,80,120 "), CLIP).at(5) == ClipBox(16, 24, 80, 120)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4s: 1,2,3,4; 2s: 1,2,3,4", r"region_box: keyframes out of order: 2 s comes after 4 s"),
        ("4s: 1,2,3,4; 4s: 1,2,3,4", r"region_box: keyframes out of order"),
        ("4s 1,2,3,4; 5s: 1,2,3,4", r"region_box: expected a colon after the time"),
        ("0s: 1,2,3", r"region_box: '1,2,3' is not a box"),
        (" ; ", r"region_box: .* holds no box"),
    ],
)
def test_text_that_is_no_box_with_keyframes_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_boxes(text)


@pytest.mark.parametrize("text", ["80%,0%,25%,50%", "0s: 0,0,10,10; 4s: 0,200,10,41", "-5%,0%,20%,20%"])
def test_box_that_leaves_the_picture_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"region_box: the box at . s leaves the picture.*320x240 pixels"):
        track_of_cues(parse_boxes(text), CLIP)


def test_box_without_a_pixel_is_refused() -> None:
    with pytest.raises(InputError, match=r"region_box: the box at 2 s is 0\.32x24\.00 pixels.*face"):
        track_of_cues(parse_boxes("0s: 10%,10%,10%,10%; 2s: 10%,10%,0.1%,10%"), CLIP)


@pytest.mark.parametrize("row", [0, 500, 999])
def test_what_is_seen_of_a_speck_in_a_mask_has_a_pixel(row: int) -> None:
    masks_NHW = torch.zeros(1, 1000, 1000)
    masks_NHW[0, row, row] = 1
    box = WorkRegion(Region(masks_NHW), CLIP, times(9), 0, 0.0).natural_box(0)
    assert (box.width, box.height) == (1, 1)
    assert 0 <= box.left < CLIP.width_px
    assert 0 <= box.top < CLIP.height_px


def masks_of(boxes: list[tuple[int, int]], side: int = 8) -> torch.Tensor:
    """One mask of 48x64 for each left and top; a negative left gives an empty one."""
    masks_NHW = torch.zeros(len(boxes), 48, 64)
    for mask_HW, (left, top) in zip(masks_NHW, boxes, strict=True):
        if left >= 0:
            mask_HW[top : top + side, left : left + side] = 1
    return masks_NHW


def test_masks_are_followed_without_jumps_though_one_is_wrong_and_one_is_empty() -> None:
    lefts = [10 + k // 2 for k in range(50)]
    lefts[20], lefts[30] = 50, -1
    track = track_of_masks(masks_of([(left, 5) for left in lefts]), [k / 25 for k in range(50)], CLIP)
    boxes = np.array([track.at(k / 25) for k in range(50)])
    steps = np.abs(np.diff(boxes, axis=0))
    assert steps.max() < 0.2 * CLIP.width_px / 64 * 8  # a mask's pixel is five of the clip's
    inner = range(13, 37)
    assert np.abs(boxes[inner, 0] - [5 * (10 + k / 2 - 0.25) for k in inner]).max() < 4
    assert boxes[:, 2:].min() > 39
    assert boxes[:, 2:].max() < 41


def test_region_jumps_at_a_cut_alone() -> None:
    masks_NHW = masks_of([(4, 4)] * 25 + [(50, 30)] * 25)
    track = track_of_masks(masks_NHW, [k / 25 for k in range(50)], CLIP, cuts_s=(1.0,))
    assert track.at(0.99) == pytest.approx((20, 20, 40, 40))
    assert track.at(1.0) == pytest.approx((250, 150, 40, 40))


@pytest.mark.parametrize("region", [(10, 10, 60, 60), (250, 170, 60, 60), (140, 0, 30, 90), (0, 0, 320, 240)])
@pytest.mark.parametrize("aspect", [1.0, 832 / 448, 448 / 896])
def test_crop_holds_the_region_in_the_aspect(region: tuple[int, int, int, int], aspect: float) -> None:
    box, inner = crop_box(ClipBox(*region), CLIP, aspect, context=0.6), ClipBox(*region)
    assert box.width / box.height == pytest.approx(aspect, rel=0.02)
    assert box.left <= inner.left + 1
    assert box.top <= inner.top + 1
    assert box.left + box.width >= inner.left + inner.width - 1
    assert box.top + box.height >= inner.top + inner.height - 1
    if region != (0, 0, 320, 240):
        assert box.left >= 0
        assert box.top >= 0
        assert box.left + box.width <= CLIP.width_px
        assert box.top + box.height <= CLIP.height_px


def test_beyond_the_frame_its_edge_goes_on() -> None:
    frame_HWC = torch.arange(12.0).reshape(2, 2, 3)
    box = crop_box(ClipBox(0, 0, 2, 2), FrameSize(2, 2), 1.0, 0)
    cut_HWC = cut_out(frame_HWC, box)
    assert tuple(cut_HWC.shape) == (8, 8, 3)
    assert torch.equal(cut_HWC[0, 0], frame_HWC[0, 0])
    assert torch.equal(cut_HWC[-1, -1], frame_HWC[1, 1])


def test_all_of_a_box_may_change_and_nothing_beyond_its_edge() -> None:
    work = WorkRegion(parse_boxes("100,60,80,80"), CLIP, times(50), 10, 0.5)
    view = RegionView(work, SIZE)
    alpha_HW, box = view.alpha_at(0), view.box_at(0)
    assert box == (60, 20, 160, 160)
    scale = SIZE.width_px / box.width
    inside = slice(round(40 * scale), round(120 * scale))
    assert alpha_HW[inside, inside].min() == 1
    edge = round((40 - 10) * scale) - 1
    assert alpha_HW[:edge].max() == 0
    assert alpha_HW[:, :edge].max() == 0
    assert 0 < float(alpha_HW[32, round(35 * scale)]) < 1


def test_mask_over_the_frame_is_seen_where_the_crop_is() -> None:
    mask_HW = torch.zeros(1, 48, 64)
    mask_HW[0, 12:28, 20:36] = 1  # 100..180 across, 60..140 down
    by_mask = RegionView(WorkRegion(Region(mask_HW), CLIP, times(50), 10, 0.5), SIZE)
    by_box = RegionView(WorkRegion(parse_boxes("100,60,80,80"), CLIP, times(50), 10, 0.5), SIZE)
    assert by_mask.box_at(0) == by_box.box_at(0)
    assert float((by_mask.alpha_at(0) - by_box.alpha_at(0)).abs().mean()) < 0.02


def test_made_edge_of_the_crop_never_shows_inside_the_frame() -> None:
    view = RegionView(WorkRegion(parse_boxes("100,60,80,80"), CLIP, times(50), 40, 0.0), SIZE)
    alpha_HW = view.alpha_at(0)
    assert float(torch.cat((alpha_HW[0], alpha_HW[-1], alpha_HW[:, 0], alpha_HW[:, -1])).max()) == 0
    corner = RegionView(WorkRegion(parse_boxes("0,0,80,80"), CLIP, times(50), 40, 0.0), SIZE).alpha_at(0)
    assert float(corner[0, 0]) == 1


def test_more_masks_than_frames_are_refused() -> None:
    with pytest.raises(InputError, match=r"region: 51 masks for a clip of 50 frames"):
        WorkRegion(Region(torch.ones(51, 4, 4)), CLIP, times(50), 4, 0.5)


def test_colours_are_matched_outside() -> None:
    source_HWC = torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    alpha_HW = torch.zeros(8, 8)
    alpha_HW[2:6, 2:6] = 1
    made_HWC = source_HWC + torch.tensor([0.05, -0.1, 0.0])
    torch.testing.assert_close(match_outside(source_HWC, made_HWC, alpha_HW), source_HWC)
