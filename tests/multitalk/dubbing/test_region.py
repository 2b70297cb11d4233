import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.dubbing.region import (
    Region,
    checked_region,
    covering,
    drift_outside,
    feathered,
    lay_over,
    mask_number,
)
from evertalk_pack.multitalk.windows.settings import FrameSize


def box(height: int, width: int, top: int, left: int, side: int) -> torch.Tensor:
    mask_HW = torch.zeros(height, width)
    mask_HW[top : top + side, left : left + side] = 1
    return mask_HW


@pytest.mark.parametrize("feather_px", [1, 2, 5, 8])
def test_edge_falls_from_the_mask_to_nothing_within_its_width(feather_px: int) -> None:
    mask_HW = box(40, 40, 15, 15, 10)
    row = feathered(mask_HW, feather_px)[20]
    assert torch.equal(row[15:25], torch.ones(10)) or feather_px == 1
    assert float(row[15:25].min()) > 0.99
    edge = row[25 : 25 + feather_px]
    assert bool((edge.diff() <= 0).all())
    assert float(row[25 + feather_px :].abs().max()) == 0
    torch.testing.assert_close(row.flip(0), row)


def test_no_feather_leaves_the_mask() -> None:
    mask_HW = box(20, 20, 5, 5, 5)
    assert torch.equal(feathered(mask_HW, 0), mask_HW)


def test_mask_up_to_the_pictures_border_stays_whole_there() -> None:
    assert torch.equal(feathered(torch.ones(12, 12), 6), torch.ones(12, 12))


def test_mask_is_cut_at_the_centre_like_the_frame() -> None:
    mask_HW = torch.zeros(10, 40)
    mask_HW[:, 15:25] = 1
    assert torch.equal(covering(mask_HW, FrameSize(10, 40), FrameSize(10, 10)), torch.ones(10, 10))


def test_mask_of_another_size_is_stretched_over_the_clip() -> None:
    seen = covering(box(8, 8, 0, 0, 4), FrameSize(64, 64), FrameSize(32, 32))
    assert float(seen[:12, :12].min()) == 1
    assert float(seen[20:, 20:].max()) == 0


def test_outside_the_edge_the_clip_stays_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    source, made = torch.rand(2, 20, 20, 3, generator=generator)
    alpha_HW = feathered(box(20, 20, 8, 8, 4), 3)
    laid = lay_over(source, made, alpha_HW)
    assert torch.equal(laid[alpha_HW == 0], source[alpha_HW == 0])
    assert torch.equal(laid[alpha_HW == 1], made[alpha_HW == 1])


def test_drift_is_the_mean_change_where_the_clip_is_kept() -> None:
    source = torch.zeros(10, 10, 3)
    made = source.clone()
    made[:5] = 0.5  # of the ten rows kept, five
    made[3, 3] = 1
    alpha_HW = torch.zeros(10, 10)
    alpha_HW[3, 3] = 1
    assert drift_outside(source, made, alpha_HW) == pytest.approx(0.5 * 49 / 99)
    assert drift_outside(source, made, torch.ones(10, 10)) is None


def test_moving_masks_follow_the_clips_own_frames_and_the_last_stands() -> None:
    region = Region(torch.ones(20, 4, 4))
    assert [mask_number(region, k / 25, 50.0) for k in range(12)] == [
        0,
        2,
        4,
        6,
        8,
        10,
        12,
        14,
        16,
        18,
        19,
        19,
    ]
    assert mask_number(region, 0.28, 25.0) == 7


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("a mask", r"region: str, expected a MASK"),
        (torch.ones(1, 4, 4, 3), r"region: \(1, 4, 4, 3\), expected a MASK"),
        (torch.ones(0, 4, 4), r"region: .* has no pixels"),
        (torch.full((4, 4), float("nan")), r"region: the mask holds NaN"),
        (torch.zeros(3, 4, 4), r"region: the mask is empty"),
    ],
)
def test_mask_that_cannot_be_used_is_refused(mask: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_region(mask, 4)


def test_single_mask_without_a_batch_is_taken() -> None:
    assert checked_region(torch.ones(4, 6), 3).masks_NHW.shape == (1, 4, 6)
