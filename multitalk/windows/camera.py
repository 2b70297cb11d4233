"""A slow move over a still picture: what part of it is seen at a time, and that part at the video's size.

Each window gets a slightly different reference, which keeps long videos from freezing and their colours from
drifting (the weights' authors advise it for more than a minute).

Shape letters: H and W pixels of the picture, Y and X pixels of the view, C colour channels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..common.errors import InputError

MAX_ZOOM = 4.0
MAX_PAN_PERCENT = 50.0
LANCZOS_LOBES = 3


@dataclass(frozen=True, slots=True)
class CameraMove:
    """How the view moves from the first to the last moment of the video.

    Attributes:
        zoom: how many times closer the end is than the beginning; below 1 the move begins closer and ends on
            the whole picture.
        pan_x_percent: how far the view's centre moves to the right, in percent of the picture's width.
        pan_y_percent: how far it moves down, in percent of the picture's height.
    """

    zoom: float = 1.0
    pan_x_percent: float = 0.0
    pan_y_percent: float = 0.0

    def __post_init__(self) -> None:
        if not 1 / MAX_ZOOM <= self.zoom <= MAX_ZOOM:
            raise InputError(
                f"zoom is {self.zoom:g}; give {1 / MAX_ZOOM:g} to {MAX_ZOOM:g} (1 is still, 1.1 moves in by "
                "a tenth)"
            )
        for name, percent in (("pan_x", self.pan_x_percent), ("pan_y", self.pan_y_percent)):
            if not -MAX_PAN_PERCENT <= percent <= MAX_PAN_PERCENT:
                raise InputError(
                    f"{name} is {percent:g} percent of the picture; give {-MAX_PAN_PERCENT:g} to "
                    f"{MAX_PAN_PERCENT:g} (0 is still)"
                )

    @property
    def is_still(self) -> bool:
        """Whether nothing moves."""
        return self.zoom == 1 and self.pan_x_percent == 0 and self.pan_y_percent == 0


class View(NamedTuple):
    """The part of a picture that is seen; pixels of the picture, fractions included."""

    top_px: float
    left_px: float
    height_px: float
    width_px: float


def view_at(
    move: CameraMove, progress: float, picture_height_px: int, picture_width_px: int, aspect: float
) -> View:
    """The view when the share `progress`, 0..1, of the video is over.

    It has the shape of the video, never leaves the picture, and is as large as that allows: a pan makes it
    smaller by what it travels. The zoom's rate is constant to the eye.

    Args:
        move: the move.
        progress: 0 at the beginning, 1 at the end.
        picture_height_px: height of the picture.
        picture_width_px: width of the picture.
        aspect: height / width of the video.
    """
    room_y, room_x = 1 - abs(move.pan_y_percent) / 100, 1 - abs(move.pan_x_percent) / 100
    width_px = min(picture_width_px * room_x, picture_height_px * room_y / aspect)
    closer = move.zoom**progress if move.zoom >= 1 else move.zoom ** (progress - 1)
    width_px /= closer
    height_px = width_px * aspect
    centre_y = picture_height_px * (0.5 + move.pan_y_percent / 100 * (progress - 0.5))
    centre_x = picture_width_px * (0.5 + move.pan_x_percent / 100 * (progress - 0.5))
    return View(centre_y - height_px / 2, centre_x - width_px / 2, height_px, width_px)


def crop_resize(picture_HWC: torch.Tensor, view: View, height_px: int, width_px: int) -> torch.Tensor:
    """The view as a picture of height_px x width_px, float32, values 0..1.

    Lanczos resampling straight from the picture, widened where it scales down, at fractions of pixels: a slow
    move does not jump.
    """
    rows_YH = resampling(view.top_px, view.height_px, picture_HWC.shape[0], height_px).to(picture_HWC.device)
    columns_XW = resampling(view.left_px, view.width_px, picture_HWC.shape[1], width_px)
    columns_XW = columns_XW.to(picture_HWC.device)
    narrow_HXC = torch.einsum("xw,hwc->hxc", columns_XW, picture_HWC.float())
    return torch.einsum("yh,hxc->yxc", rows_YH, narrow_HXC).clamp(0, 1)


def resampling(start_px: float, length_px: float, source: int, target: int) -> torch.Tensor:
    """Weights (target, source) that resample `length_px` pixels from `start_px` on; each row's sum is 1."""
    scale = length_px / target
    centres = start_px + (torch.arange(target, dtype=torch.float64) + 0.5) * scale
    pixels = torch.arange(source, dtype=torch.float64) + 0.5
    distances = (pixels - centres[:, None]) / max(scale, 1)
    weights = torch.sinc(distances) * torch.sinc(distances / LANCZOS_LOBES)
    weights = torch.where(distances.abs() < LANCZOS_LOBES, weights, 0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def progress_at(time_s: float, duration_s: float) -> float:
    """The share of a video, 0..1, that is over at a time."""
    assert duration_s > 0, "a video has a length"
    return min(max(time_s / duration_s, 0.0), 1.0)
