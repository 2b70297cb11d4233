"""Where each person is in the picture: from boxes, from given masks, or the usual halves.

Shape letters: S speakers, H and W pixels of the picture, F frames of a mask that moves.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import adaptive_max_pool2d

from .errors import InputError

HALF_INSET = 0.05
"""Share of its half (and of the height) that is left free on each side of a default mask, as the authors do
it."""

SPEAKER_NAMES = ("A", "B", "C", "D")
"""What the speakers are called in sockets, timelines and messages, in their order."""

INSIDE = 0.5
"""Value of a mask from which on a pixel belongs to the person."""

BOX_PATTERN = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in the picture, in pixels: x is the column of its left side, y the row of its top.

    Attributes:
        x: left side, counted from the picture's left.
        y: top side, counted from the picture's top.
        width: to the right.
        height: downwards.
        percent: the four numbers are percent of the picture's width and height instead of pixels.
    """

    x: float
    y: float
    width: float
    height: float
    percent: bool = False

    def rows_and_columns(self, height_px: int, width_px: int) -> tuple[slice, slice]:
        """The pixels it covers in a picture of this size; what juts out is cut off."""
        across = width_px / 100 if self.percent else 1
        down = height_px / 100 if self.percent else 1
        top, bottom = int(max(self.y * down, 0)), int(max((self.y + self.height) * down, 0))
        left, right = int(max(self.x * across, 0)), int(max((self.x + self.width) * across, 0))
        return slice(top, bottom), slice(left, right)


Place = Box | torch.Tensor
"""Where one speaker is: a box, or a mask (H, W) or, where it moves, (F, H, W), inside from 0.5 up."""


def parse_box(text: str, socket: str) -> Box:
    """Reads `x,y,width,height`, all in pixels or all in percent (`10%,0%,30%,100%`).

    Raises:
        InputError: it is something else, or has no area; the message begins with `socket`.
    """
    parts = [BOX_PATTERN.fullmatch(part) for part in text.split(",")]
    found = [part for part in parts if part is not None]
    units = {part.group(2) for part in found}
    if len(parts) != 4 or len(found) != 4 or len(units) != 1:
        raise InputError(
            f"{socket}: {text!r} is not a box; write x,y,width,height, all in pixels (120,40,300,400) or all "
            "in percent (10%,5%,40%,90%)"
        )
    x, y, width, height = (float(part.group(1)) for part in found)
    if width <= 0 or height <= 0:
        raise InputError(f"{socket}: the box {text!r} has no area; give a width and a height above 0")
    return Box(x, y, width, height, percent=units == {"%"})


def masks_of_boxes(boxes: Sequence[Box], height_px: int, width_px: int) -> torch.Tensor:
    """One mask a box over a picture of this size, (S, H, W) float32, 1 inside.

    Raises:
        InputError: a box covers no pixel of the picture.
    """
    masks_SHW = torch.zeros(len(boxes), height_px, width_px)
    for name, box, mask_HW in zip(SPEAKER_NAMES[: len(boxes)], boxes, masks_SHW, strict=True):
        rows, columns = box.rows_and_columns(height_px, width_px)
        mask_HW[rows, columns] = 1
        if not mask_HW.any():
            raise InputError(
                f"box of speaker {name}: {box} covers no pixel of the {width_px}x{height_px} picture; move "
                "it inside"
            )
    return masks_SHW


def default_masks(speakers: int, height_px: int, width_px: int) -> torch.Tensor:
    """The whole picture for one speaker, the inset left and right halves for two; (S, H, W) float32.

    Raises:
        InputError: there are more than two speakers, for whom no place is usual.
    """
    if speakers == 1:
        return torch.ones(1, height_px, width_px)
    if speakers != 2:
        raise InputError(
            f"masks: {speakers} voices have no usual places in the picture; connect one mask or give one box "
            "for each voice"
        )
    half = width_px // 2
    rows = slice(int(height_px * HALF_INSET), int(height_px * (1 - HALF_INSET)))
    masks_SHW = torch.zeros(2, height_px, width_px)
    for mask_HW, offset in zip(masks_SHW, (0, half), strict=True):
        mask_HW[rows, int(half * HALF_INSET + offset) : int(half * (1 - HALF_INSET) + offset)] = 1
    return masks_SHW


def fit_masks(
    masks: Sequence[torch.Tensor], height_px: int, width_px: int, frame: int = 0
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Brings given masks to the picture's size.

    Args:
        masks: one a speaker, (H, W) or (F, H, W) for a mask that moves, values 0..1.
        height_px: height of the picture.
        width_px: width of the picture.
        frame: which frame of a moving mask counts; past its end, the last.

    Returns:
        the masks, (S, H, W) float32 of 0 and 1 (inside from 0.5 up), and a sentence for each that was
        resized.
    """
    fitted: list[torch.Tensor] = []
    notes: list[str] = []
    for name, mask in zip(SPEAKER_NAMES[: len(masks)], masks, strict=True):
        still_HW = mask if mask.ndim == 2 else mask[min(frame, len(mask) - 1)]
        inside_HW = (still_HW >= INSIDE).float()
        if inside_HW.shape != (height_px, width_px):
            notes.append(
                f"The mask of speaker {name} is {still_HW.shape[1]}x{still_HW.shape[0]}; it was resized to "
                f"the picture's {width_px}x{height_px}."
            )
            inside_HW = adaptive_max_pool2d(inside_HW[None], (height_px, width_px))[0]  # loses no small mask
        fitted.append(inside_HW)
    return torch.stack(fitted), tuple(notes)
