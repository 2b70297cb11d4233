"""What a person sees of a region before anything is computed: its box on a few frames of the clip.

Shape letters: F frames, H and W pixels, C channels; values 0..1.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from ..media.frame_reader import FrameReader
from .crop import ClipBox
from .work_region import WorkRegion

PICTURES = 4
"""From where the video begins to the clip's end: what moves is seen to move."""

WIDEST_PX = 640
"""Frames are shown no wider."""

REGION_COLOUR, SEEN_COLOUR = (0.1, 1.0, 0.3), (1.0, 0.8, 0.1)


def preview_region(reader: FrameReader, work: WorkRegion, start_s: float) -> torch.Tensor:
    """Frames (F, H, W, 3) of the clip: a green line around the region, a yellow one around what is seen."""
    end_s = max(start_s, work.times.time_s(len(work.times.stamps) - 1))
    shown: list[torch.Tensor] = []
    for number in range(PICTURES):
        time_s = start_s + (end_s - start_s) * number / (PICTURES - 1)
        frame_HWC = reader.frame_at(time_s)
        scale = min(1.0, WIDEST_PX / frame_HWC.shape[1])
        size = [max(1, round(side * scale)) for side in frame_HWC.shape[:2]]
        frame_CHW = frame_HWC.movedim(-1, 0)[None]
        picture_HWC = F.interpolate(frame_CHW, size, mode="area")[0].movedim(0, -1).contiguous()
        draw_box(picture_HWC, ClipBox(*work.natural_box(time_s)), scale, SEEN_COLOUR)
        draw_box(picture_HWC, work.track.at(time_s), scale, REGION_COLOUR)
        shown.append(picture_HWC)
    return torch.stack(shown)


def draw_box(picture_HWC: torch.Tensor, box: ClipBox, scale: float, colour: Sequence[float]) -> None:
    """Draw a box's outline into a picture, in place."""
    height_px, width_px = picture_HWC.shape[:2]
    line = max(1, width_px // 200)
    top, bottom = (_inside(side * scale, height_px) for side in (box.top, box.top + box.height))
    left, right = (_inside(side * scale, width_px) for side in (box.left, box.left + box.width))
    paint = torch.tensor(colour, dtype=picture_HWC.dtype)
    for rows, columns in (
        (slice(top, top + line), slice(left, right)),
        (slice(max(0, bottom - line), bottom), slice(left, right)),
        (slice(top, bottom), slice(left, left + line)),
        (slice(top, bottom), slice(max(0, right - line), right)),
    ):
        picture_HWC[rows, columns] = paint


def _inside(side: float, length: int) -> int:
    return min(max(round(side), 0), length)
