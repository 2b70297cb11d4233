"""The part of a clip's frame that the weights see: a region with its surroundings, in the video's shape.

All boxes count pixels of the clip's frame as it is seen. Every step is continuous, so that a region that
moves smoothly gives a crop that does.

Shape letters: H and W pixels.
"""

from typing import NamedTuple

import torch

from ..windows.settings import FrameSize

CONTEXT = 0.6
"""Default width of the surroundings on each side, as a part of the region's longer side."""

MAX_CONTEXT = 4.0

LEAST_SIDE_PX = 8
"""A crop is not smaller than this: there is nothing to see in less."""


class ClipBox(NamedTuple):
    """A rectangle in a clip's frame, in parts of pixels."""

    left: float
    top: float
    width: float
    height: float


class PixelBox(NamedTuple):
    """Whole pixels of a clip's frame; it may jut out of the frame."""

    left: int
    top: int
    width: int
    height: int


def with_context(region: ClipBox, context: float) -> ClipBox:
    """A region with its surroundings: `context` of its longer side on each of its four."""
    more = context * max(region.width, region.height)
    return ClipBox(region.left - more, region.top - more, region.width + 2 * more, region.height + 2 * more)


def crop_box(region: ClipBox, clip: FrameSize, aspect: float, context: float) -> PixelBox:
    """What is cut out of the clip for a region.

    The surroundings grow until the crop has the aspect. Where that is more than the clip's frame has, there
    is less around the region, and the crop moves into the frame; it juts out only where the region itself
    leaves no room for the aspect.

    Args:
        region: what may change, inside the frame.
        clip: size of the clip's frame.
        aspect: width by height of the crop.
        context: see with_context.
    """
    wide = with_context(region, context)
    height = max(wide.height, wide.width / aspect)
    fitting = min(clip.height_px, clip.width_px / aspect)
    needed = max(region.height, region.width / aspect, LEAST_SIDE_PX, LEAST_SIDE_PX / aspect)
    height = max(min(height, fitting), needed)
    width = height * aspect
    left = moved_inside(region.left + region.width / 2 - width / 2, width, clip.width_px)
    top = moved_inside(region.top + region.height / 2 - height / 2, height, clip.height_px)
    return PixelBox(round(left), round(top), round(width), round(height))


def moved_inside(begin: float, length: float, room: float) -> float:
    """Where a stretch begins after it was moved into 0..room; one that is longer is centred."""
    if length >= room:
        return (room - length) / 2
    return min(max(begin, 0.0), room - length)


def cut_out(frame_HWC: torch.Tensor, box: PixelBox) -> torch.Tensor:
    """The pixels of a box; where it juts out of the frame, the frame's edge goes on."""
    height_px, width_px = frame_HWC.shape[:2]
    rows = torch.arange(box.top, box.top + box.height).clamp_(0, height_px - 1)
    columns = torch.arange(box.left, box.left + box.width).clamp_(0, width_px - 1)
    return frame_HWC[rows][:, columns]
