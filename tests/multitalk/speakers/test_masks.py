from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.mask_places import default_masks
from evertalk_pack.multitalk.speakers.masks import cover_crop_masks, make_speaker_masks, token_masks
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

PUBLIC = Path(__file__).resolve().parents[2] / "goldens" / "public"


def spot(height: int, width: int, row: int, column: int) -> torch.Tensor:
    mask_HW = torch.zeros(height, width)
    mask_HW[row, column] = 1
    return mask_HW


def test_default_masks_reach_the_latent_grid_as_in_the_reference() -> None:
    golden_MHW = load_file(PUBLIC / "loop_infinitetalk_c_dual_video" / "io.safetensors")[
        "out_ref_target_masks"
    ]
    masks = make_speaker_masks(default_masks(2, 44, 70), 2, 32, 48)  # config.run: src and target
    assert torch.equal(masks.latent_MHW, golden_MHW)
    assert masks.notes == ()
    assert masks.speakers == 2


def test_latent_masks_reach_the_token_grid_as_in_the_reference() -> None:
    golden = load_file(PUBLIC / "model_dual" / "io.safetensors")
    assert torch.equal(token_masks(golden["in_ref_target_masks"]), golden["out_token_ref_target_masks"])


def test_masks_follow_the_picture_through_cover_and_crop() -> None:
    masks_SHW = torch.zeros(1, 64, 256)
    masks_SHW[:, :, 96:112] = 1  # a strip; 96 columns are cut off on each side
    cropped_SHW = cover_crop_masks(masks_SHW, 64, 64)
    assert cropped_SHW.shape == (1, 64, 64)
    assert cropped_SHW[0, 0].tolist() == [1] * 16 + [0] * 48


def test_the_last_row_is_where_nobody_is() -> None:
    masks = make_speaker_masks(default_masks(2, 96, 160), 2, 96, 160)
    assert torch.equal(masks.latent_MHW.sum(dim=0), torch.ones(12, 20))
    assert torch.equal(masks.token_MK.sum(dim=0), torch.ones(60))
    assert masks.latent_MHW[2].any()


def test_a_mask_between_the_samples_keeps_the_token_over_its_middle_and_says_so() -> None:
    masks_SHW = torch.stack([spot(64, 96, 37, 75), torch.ones(64, 96)])
    masks = make_speaker_masks(masks_SHW, 2, 64, 96)
    assert masks.token_MK[0].nonzero().flatten().tolist() == [2 * 6 + 4]  # row 37 // 16, column 75 // 16
    assert "speaker A is too small" in masks.notes[1]
    assert not masks.token_MK[2].any()  # everybody together covers the picture


def test_the_kept_token_lies_on_the_mask_even_if_its_centroid_does_not() -> None:
    ring_HW = spot(64, 64, 5, 5) + spot(64, 64, 5, 60)
    masks = make_speaker_masks(ring_HW[None], 1, 64, 64)
    assert masks.token_MK[0].nonzero().flatten().tolist() in ([0], [3])


def test_a_tiny_mask_in_a_large_picture_survives_the_resize() -> None:
    masks = make_speaker_masks(spot(1999, 3001, 1001, 2001)[None], 1, 64, 96)
    assert masks.token_MK[0].nonzero().flatten().tolist() == [2 * 6 + 4]


@given(
    size=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    place=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
    tokens=st.tuples(st.integers(2, 8), st.integers(2, 8)),
)
def test_no_mask_near_the_middle_is_ever_empty_on_the_token_grid(
    size: tuple[int, int], place: tuple[float, float], tokens: tuple[int, int]
) -> None:
    height, width = tokens[0] * 16, tokens[1] * 16
    mask_HW = spot(*size, int(size[0] * place[0]), int(size[1] * place[1]))
    try:
        masks = make_speaker_masks(torch.stack([mask_HW, 1 - mask_HW]), 2, height, width)
    except InputError as error:  # a long crop may cut even that off
        assert "cropped off" in str(error)  # noqa: PT017
        return
    assert masks.token_MK[:2].any(dim=1).all()
    assert torch.equal(token_masks(masks.latent_MHW), masks.token_MK)
    assert set(masks.token_MK.unique().tolist()) <= {0.0, 1.0}


def test_overlap_is_reported_as_a_share_of_the_smaller_mask() -> None:
    masks_SHW = torch.zeros(2, 64, 96)
    masks_SHW[0, :, :64] = 1
    masks_SHW[1, :, 48:80] = 1
    notes = make_speaker_masks(masks_SHW, 2, 64, 96).notes
    assert len(notes) == 1
    assert "speakers A and B overlap in 50% of the smaller one" in notes[0]


def test_speakers_with_the_same_tokens_are_reported() -> None:
    masks_SHW = torch.stack([spot(64, 96, 37, 70), spot(64, 96, 37, 75)])
    notes = make_speaker_masks(masks_SHW, 2, 64, 96).notes
    assert notes[-1].startswith("Speakers A and B have the same tokens; only speaker A will move.")


@pytest.mark.parametrize(("voices", "masks"), [(3, 2), (1, 2), (2, 1)])
def test_voices_and_masks_of_different_number_are_refused(voices: int, masks: int) -> None:
    with pytest.raises(InputError, match=f"{voices} voices came with {masks} masks"):
        make_speaker_masks(torch.ones(masks, 64, 96), voices, 64, 96)


def test_an_empty_mask_is_refused_by_the_speakers_name() -> None:
    masks_SHW = torch.stack([torch.ones(64, 96), torch.zeros(64, 96)])
    with pytest.raises(InputError, match="mask of speaker B: it is empty"):
        make_speaker_masks(masks_SHW, 2, 64, 96)


def test_a_mask_that_is_wholly_cropped_off_is_refused() -> None:
    with pytest.raises(InputError, match="mask of speaker A: it lies wholly in the margin"):
        make_speaker_masks(spot(64, 256, 30, 5)[None], 1, 64, 64)


def test_a_size_that_is_no_whole_number_of_tokens_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(AssertionError, match="40 is not a multiple of 16"):
        make_speaker_masks(torch.ones(1, 64, 64), 1, 40, 64)
    with pytest.raises(AssertionError, match="72 is not a multiple of 16"):
        make_speaker_masks(torch.ones(1, 64, 64), 1, 64, 72)


def test_of_three_speakers_the_one_left_out_becomes_background() -> None:
    masks_SHW = torch.zeros(3, 64, 96)
    for number in range(3):
        masks_SHW[number, :, 32 * number : 32 * number + 32] = 1
    pair = make_speaker_masks(masks_SHW, 3, 64, 96).of_speakers((0, 2))
    assert pair.speakers == 2
    assert pair.token_MK.view(3, 4, 6)[:, 0].tolist() == [
        [1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 1, 1, 0, 0],
    ]
