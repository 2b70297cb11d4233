import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.mask_places import (
    Box,
    default_masks,
    fit_masks,
    masks_of_boxes,
    parse_box,
)
from hypothesis import given
from hypothesis import strategies as st


def extent(mask_HW: torch.Tensor) -> tuple[int, int, int, int]:
    """First and last row, first and last column, of a rectangle without holes."""
    rows, columns = mask_HW.any(dim=1).nonzero(), mask_HW.any(dim=0).nonzero()
    ends = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    assert mask_HW.sum() == (ends[1] - ends[0] + 1) * (ends[3] - ends[2] + 1)
    return ends


def test_x_is_the_column_and_y_the_row() -> None:
    (mask_HW,) = masks_of_boxes([Box(x=10, y=3, width=20, height=5)], 40, 60)
    assert extent(mask_HW) == (3, 7, 10, 29)


def test_percent_are_of_the_pictures_width_and_height() -> None:
    (mask_HW,) = masks_of_boxes([Box(x=50, y=25, width=25, height=50, percent=True)], 40, 60)
    assert extent(mask_HW) == (10, 29, 30, 44)


def test_what_juts_out_of_the_picture_is_cut_off() -> None:
    (mask_HW,) = masks_of_boxes([Box(x=-10, y=30, width=20, height=500)], 40, 60)
    assert extent(mask_HW) == (30, 39, 0, 9)


@pytest.mark.parametrize("box", [Box(70, 0, 10, 10), Box(-20, 0, 10, 10), Box(0, 0, 0.5, 10)])
def test_a_box_that_covers_no_pixel_is_refused_by_the_speakers_name(box: Box) -> None:
    with pytest.raises(InputError, match=r"box of speaker B.*no pixel of the 60x40 picture"):
        masks_of_boxes([Box(0, 0, 10, 10), box], 40, 60)


def test_boxes_are_read_in_pixels_or_percent() -> None:
    assert parse_box("120, 40,300,400", "box 1") == Box(120, 40, 300, 400)
    assert parse_box("10%,5.5%, 40 %,90%", "box 1") == Box(10, 5.5, 40, 90, percent=True)
    assert parse_box("-5,0,30,30", "box 1") == Box(-5, 0, 30, 30)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "10%,5,40%,90", "a,b,c,d", "1;2;3;4"])
def test_what_is_no_box_is_refused_by_the_sockets_name(text: str) -> None:
    with pytest.raises(InputError, match=r"^box 1: .* is not a box; write x,y,width,height"):
        parse_box(text, "box 1")


@pytest.mark.parametrize("text", ["1,2,0,4", "1%,2%,3%,-4%"])
def test_a_box_without_area_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no area"):
        parse_box(text, "box 1")


@given(
    numbers=st.tuples(st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 99), st.integers(1, 99)),
    percent=st.booleans(),
)
def test_a_box_written_down_is_read_back(numbers: tuple[int, int, int, int], percent: bool) -> None:
    text = ",".join(f"{number}{'%' if percent else ''}" for number in numbers)
    assert parse_box(text, "box") == Box(*numbers, percent=percent)


def test_one_speaker_has_the_whole_picture() -> None:
    assert torch.equal(default_masks(1, 8, 12), torch.ones(1, 8, 12))


def test_two_speakers_have_the_inset_halves() -> None:
    left_HW, right_HW = default_masks(2, 100, 201)
    assert extent(left_HW) == (5, 94, 5, 94)
    assert extent(right_HW) == (5, 94, 105, 194)


@pytest.mark.parametrize("speakers", [3, 4])
def test_more_speakers_have_no_usual_places(speakers: int) -> None:
    with pytest.raises(InputError, match=f"masks: {speakers} voices have no usual places"):
        default_masks(speakers, 100, 200)


def test_masks_of_the_pictures_size_are_kept_without_a_word() -> None:
    mask_HW = torch.zeros(6, 8)
    mask_HW[2:4, 1:3] = 1
    masks_SHW, notes = fit_masks([mask_HW, mask_HW[None]], 6, 8)
    assert torch.equal(masks_SHW, torch.stack([mask_HW, mask_HW]))
    assert notes == ()


def test_masks_of_another_size_are_resized_and_it_is_said() -> None:
    mask_HW = torch.zeros(6, 8)
    mask_HW[:, 4:] = 0.9
    masks_SHW, notes = fit_masks([torch.ones(12, 16), mask_HW], 12, 16)
    assert extent(masks_SHW[1]) == (0, 11, 8, 15)
    assert notes == ("The mask of speaker B is 8x6; it was resized to the picture's 16x12.",)


def test_a_speck_in_a_larger_mask_survives_the_resize() -> None:
    speck_HW = torch.zeros(999, 1500)
    speck_HW[500, 700] = 1
    masks_SHW, _ = fit_masks([speck_HW], 12, 16)
    assert extent(masks_SHW[0]) == (6, 6, 7, 7)


def test_a_soft_mask_is_inside_from_one_half_up() -> None:
    masks_SHW, _ = fit_masks([torch.tensor([[0.0, 0.49, 0.5, 1.0]])], 1, 4)
    assert masks_SHW.tolist() == [[[0, 0, 1, 1]]]


def test_a_moving_mask_gives_the_frame_asked_for_and_then_its_last() -> None:
    moving_FHW = torch.eye(3)[:, None]
    assert fit_masks([moving_FHW], 1, 3, frame=1)[0].tolist() == [[[0, 1, 0]]]
    assert fit_masks([moving_FHW], 1, 3, frame=7)[0].tolist() == [[[0, 0, 1]]]
