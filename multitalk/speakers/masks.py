"""Masks of the people in a picture, brought to the grids on which the model tells them apart.

The picture's pixels are reduced in two nearest steps, to the latent grid and to the token grid, as the
weights saw it in training. That samples one pixel in 16 x 16, so a small mask can vanish between the samples;
it then keeps the token nearest to its middle (in the reference its share became 0 / 0 and the video NaN).

Shape letters: S speakers, M masks = speakers and then the background, H and W of a grid, K tokens of one
latent frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn.functional import interpolate

from ...wanvideo.geometry import PATCH_HW, SIZE_MULTIPLE, SPACE_STRIDE
from ..common.errors import InputError
from ..common.mask_places import SPEAKER_NAMES
from ..common.size_buckets import cover_crop


@dataclass(frozen=True, slots=True)
class SpeakerMasks:
    """Who is where, for one video size.

    Attributes:
        latent_MHW: on the latent grid, float32 of 0 and 1; the last row is the background: no person at all.
        token_MK: the same on the token grid of one latent frame, rows of tokens one after the other.
        notes: sentences for the user about what was changed or looks wrong.
    """

    latent_MHW: torch.Tensor
    token_MK: torch.Tensor
    notes: tuple[str, ...] = ()

    @property
    def speakers(self) -> int:
        """How many people have a mask."""
        return self.token_MK.shape[0] - 1

    def of_speakers(self, chosen: Sequence[int]) -> "SpeakerMasks":
        """The masks of some speakers, by index; the others become background."""
        people_SHW = self.latent_MHW[list(chosen)]
        latent_MHW = torch.cat([people_SHW, _background(people_SHW)])
        return replace(self, latent_MHW=latent_MHW, token_MK=token_masks(latent_MHW))


def make_speaker_masks(masks_SHW: torch.Tensor, speakers: int, height_px: int, width_px: int) -> SpeakerMasks:
    """Follows the picture through resize-to-cover and centre crop to the video's size, then to the grids.

    Args:
        masks_SHW: one mask a speaker over the source picture, above 0 inside.
        speakers: how many voices there are.
        height_px: height of the video, a multiple of 16.
        width_px: width of the video, a multiple of 16.

    Raises:
        InputError: masks and voices differ in number, or a mask is empty or lies wholly in what is cropped
            off.
    """
    assert height_px % SIZE_MULTIPLE == 0, f"{height_px} is not a multiple of {SIZE_MULTIPLE}"
    assert width_px % SIZE_MULTIPLE == 0, f"{width_px} is not a multiple of {SIZE_MULTIPLE}"
    _check(masks_SHW, speakers)
    source_SHW = (masks_SHW > 0).float()
    grid = (height_px // SPACE_STRIDE, width_px // SPACE_STRIDE)
    people_SHW = _nearest(cover_crop_masks(source_SHW, height_px, width_px), grid)
    notes = _overlaps(source_SHW)
    for name, mask_HW, source_HW in zip(SPEAKER_NAMES[:speakers], people_SHW, source_SHW, strict=True):
        if not token_masks(mask_HW[None]).any():
            row, column = _middle_token(source_HW, height_px, width_px, name)
            mask_HW[row * PATCH_HW, column * PATCH_HW] = 1  # the latent that this token samples
            notes.append(
                f"The mask of speaker {name} is too small for the model's grid of {SIZE_MULTIPLE} px; it "
                "keeps the one token nearest to its middle."
            )
    latent_MHW = torch.cat([people_SHW, _background(people_SHW)])
    token_MK = token_masks(latent_MHW)
    return SpeakerMasks(latent_MHW, token_MK, (*notes, *_twins(token_MK[:-1])))


def cover_crop_masks(masks_SHW: torch.Tensor, height_px: int, width_px: int) -> torch.Tensor:
    """Masks through the geometry that turns their picture into height_px x width_px; values are kept."""
    geometry = cover_crop(masks_SHW.shape[1], masks_SHW.shape[2], height_px, width_px)
    scaled_SHW = _nearest(masks_SHW, (geometry.scaled_height_px, geometry.scaled_width_px))
    rows = slice(geometry.top_px, geometry.top_px + height_px)
    columns = slice(geometry.left_px, geometry.left_px + width_px)
    return scaled_SHW[:, rows, columns].clone()


def token_masks(latent_MHW: torch.Tensor) -> torch.Tensor:
    """Masks on the latent grid brought to the token grid of one latent frame, (M, K) float32 of 0 and 1."""
    height, width = latent_MHW.shape[1:]
    return (_nearest(latent_MHW.float(), _halved((height, width))) > 0).float().flatten(1)


def _check(masks_SHW: torch.Tensor, speakers: int) -> None:
    if masks_SHW.shape[0] != speakers:
        raise InputError(
            f"masks: {speakers} voices came with {masks_SHW.shape[0]} masks; give exactly one mask for each "
            "voice"
        )
    for name, mask_HW in zip(SPEAKER_NAMES[:speakers], masks_SHW, strict=True):
        if not (mask_HW > 0).any():
            raise InputError(f"mask of speaker {name}: it is empty; paint the person who is to speak")


def _overlaps(masks_SHW: torch.Tensor) -> list[str]:
    notes: list[str] = []
    areas = masks_SHW.sum(dim=(1, 2)).tolist()
    for first in range(len(areas)):
        for second in range(first + 1, len(areas)):
            shared = float((masks_SHW[first] * masks_SHW[second]).sum())
            if shared:
                share = shared / min(areas[first], areas[second])
                notes.append(
                    f"The masks of speakers {SPEAKER_NAMES[first]} and {SPEAKER_NAMES[second]} overlap in "
                    f"{share:.0%} of the smaller one; there both voices compete for the face."
                )
    return notes


def _twins(token_SK: torch.Tensor) -> list[str]:
    """A sentence for each two speakers whom the tokens do not tell apart: the earlier one would get all."""
    return [
        f"Speakers {SPEAKER_NAMES[first]} and {SPEAKER_NAMES[second]} have the same tokens; only speaker "
        f"{SPEAKER_NAMES[first]} will move. Draw their masks further apart or choose a larger size."
        for first in range(len(token_SK))
        for second in range(first + 1, len(token_SK))
        if torch.equal(token_SK[first], token_SK[second])
    ]


def _background(people_SHW: torch.Tensor) -> torch.Tensor:
    return (people_SHW.amax(dim=0, keepdim=True) == 0).float()


def _middle_token(source_HW: torch.Tensor, height_px: int, width_px: int, name: str) -> tuple[int, int]:
    """Row and column of the token over the pixel nearest to the centroid of what the crop leaves of it."""
    geometry = cover_crop(source_HW.shape[0], source_HW.shape[1], height_px, width_px)
    source = source_HW.new_tensor(source_HW.shape, dtype=torch.float64)
    scaled = source.new_tensor([geometry.scaled_height_px, geometry.scaled_width_px])
    offset = source.new_tensor([geometry.top_px, geometry.left_px])
    size = source.new_tensor([height_px, width_px])
    places = (source_HW.nonzero().double() + 0.5) * scaled / source - offset
    inside = places[((places >= 0) & (places < size)).all(dim=1)]
    if not len(inside):
        raise InputError(
            f"mask of speaker {name}: it lies wholly in the margin that is cropped off to make the video "
            f"{width_px}x{height_px}; move it inwards or choose a size nearer to the picture's shape"
        )
    nearest = inside[(inside - inside.mean(dim=0)).square().sum(dim=1).argmin()]
    return int(nearest[0]) // SIZE_MULTIPLE, int(nearest[1]) // SIZE_MULTIPLE


def _nearest(masks_SHW: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    return interpolate(masks_SHW[None], size=size_hw, mode="nearest")[0]


def _halved(grid_hw: tuple[int, int]) -> tuple[int, int]:
    return grid_hw[0] // PATCH_HW, grid_hw[1] // PATCH_HW
