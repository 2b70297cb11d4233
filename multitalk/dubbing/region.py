"""Where a dubbed clip may change: a mask over it, still or moving, with soft edges outside.

Shape letters: N masks, H and W pixels, C channels.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ..common.errors import InputError
from ..windows.settings import FrameSize

ROUNDING = 1e-3
"""Part of a frame by which a time may miss the frame that it was counted from."""

FEATHER_PX = 16
"""Default width of the soft edge, in pixels of the video."""


@dataclass(frozen=True, slots=True)
class Region:
    """What may change of a clip.

    Attributes:
        masks_NHW: 1 where it may change, 0 where it stays; one for the whole clip, or one a frame of it. Any
            size: they are stretched over the clip's frames.
        feather_px: width of the soft edge outside the mask, in pixels of the video; beyond it nothing
            changes.
    """

    masks_NHW: torch.Tensor
    feather_px: int = FEATHER_PX


def checked_region(mask: object, feather_px: int) -> Region:
    """The region of a MASK.

    Raises:
        InputError: it is not a mask, has no pixels, is empty, or holds values that are not numbers.
    """
    if not isinstance(mask, torch.Tensor) or mask.ndim not in (2, 3):
        found = tuple(mask.shape) if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise InputError(
            f"region: {found}, expected a MASK (masks, height, width). Connect Load Image (as Mask)."
        )
    masks_NHW = mask[None] if mask.ndim == 2 else mask
    if 0 in masks_NHW.shape:
        raise InputError(
            f"region: a mask of size {tuple(masks_NHW.shape)} has no pixels. Draw it over the clip's frame."
        )
    if not torch.isfinite(masks_NHW).all():
        raise InputError("region: the mask holds NaN or infinite values. Look at the node that made it.")
    if not (masks_NHW > 0).any():
        raise InputError(
            "region: the mask is empty, so nothing of the clip could change. Mark the face in it, or "
            "disconnect it."
        )
    return Region(masks_NHW, feather_px)


def mask_number(region: Region, time_s: float, fps: float) -> int:
    """Which mask belongs to the clip's frame at a time; the last stays where there are no more."""
    return min(math.floor(time_s * fps + ROUNDING), len(region.masks_NHW) - 1)


def covering(mask_HW: torch.Tensor, clip: FrameSize, size: FrameSize) -> torch.Tensor:
    """A mask over a clip's frame as the video sees it: resized to cover its size, cut at the centre, 0..1."""
    height, width = mask_HW.shape
    clip_aspect, aspect = clip.width_px / clip.height_px, size.width_px / size.height_px
    x, y = (
        round(width * max(0.0, 1 - aspect / clip_aspect) / 2),
        round(height * max(0.0, 1 - clip_aspect / aspect) / 2),
    )
    seen_HW = mask_HW[y : height - y, x : width - x].float().clamp(0, 1)
    if tuple(seen_HW.shape) == (size.height_px, size.width_px):
        return seen_HW
    resized = F.interpolate(seen_HW[None, None], (size.height_px, size.width_px), mode="bilinear")
    return resized[0, 0]


def feathered(mask_HW: torch.Tensor, feather_px: int) -> torch.Tensor:
    """Add a soft edge outside a mask: 1 in it, falling evenly to 0 at `feather_px` pixels from it."""
    if feather_px == 0:
        return mask_HW
    blur = feather_px // 2
    grow = feather_px - blur
    soft = mask_HW[None, None]
    for down, across in ((1, 0), (0, 1)):  # columns, then rows: as a square would, and quick for wide edges
        size, padding = (2 * grow * down + 1, 2 * grow * across + 1), (grow * down, grow * across)
        soft = F.max_pool2d(soft, size, stride=1, padding=padding)
    for down, across in ((1, 0), (0, 1)):
        size, padding = (2 * blur * down + 1, 2 * blur * across + 1), (blur * down, blur * across)
        soft = F.avg_pool2d(soft, size, stride=1, padding=padding, count_include_pad=False)
    return soft[0, 0]


def lay_over(source_HWC: torch.Tensor, made_HWC: torch.Tensor, alpha_HW: torch.Tensor) -> torch.Tensor:
    """The made frame where alpha is 1, the source, bit for bit, where it is 0, a mixture between."""
    return torch.lerp(source_HWC, made_HWC, alpha_HW[..., None])


def drift_outside(source_HWC: torch.Tensor, made_HWC: torch.Tensor, alpha_HW: torch.Tensor) -> float | None:
    """Mean absolute difference of two frames where alpha is 0; None where it is nowhere 0."""
    outside_HW = alpha_HW <= 0
    if not outside_HW.any():
        return None
    return float((made_HWC - source_HWC)[outside_HW].abs().mean())


def match_outside(source_HWC: torch.Tensor, made_HWC: torch.Tensor, alpha_HW: torch.Tensor) -> torch.Tensor:
    """The made frame with the source's colours, as far as both show the same, outside: no seam shows then."""
    outside_HW = alpha_HW <= 0
    if not outside_HW.any():
        return made_HWC
    shift_C = (source_HWC - made_HWC)[outside_HW].mean(dim=0)
    return (made_HWC + shift_C).clamp_(0, 1)
