"""Video sizes by aspect ratio, and the geometry of resizing to cover and cropping the centre.

The sizes are the ones that the weights' authors trained and published.
"""

import math
from typing import Literal, NamedTuple

Resolution = Literal["480p", "720p"]


class Size(NamedTuple):
    """Height and width in pixels."""

    height_px: int
    width_px: int


def _sizes(table: str) -> tuple[Size, ...]:
    pairs = (entry.split("x") for entry in table.split())
    return tuple(Size(int(height), int(width)) for height, width in pairs)


BUCKETS: dict[Resolution, tuple[Size, ...]] = {
    "480p": _sizes(
        "320x1216 384x1024 448x896 512x768 576x704 640x640 704x576 768x512 832x448 896x448 960x384 1088x384 "
        "1152x320 1216x320 1280x320"
    ),
    "720p": _sizes(
        "448x2048 512x1792 576x1600 640x1408 704x1280 768x1216 832x1088 896x1024 960x960 1024x896 1088x832 "
        "1152x768 1216x768 1280x704 1344x704 1408x640 1472x640 1536x576 1664x576 1856x512 1920x512"
    ),
}
"""Height x width in pixels, from the widest to the tallest."""


class CoverCrop(NamedTuple):
    """Resizing a picture until it covers the target, then cutting out the centre.

    Attributes:
        scaled_height_px: height after resizing.
        scaled_width_px: width after resizing.
        top_px: rows cut off above.
        left_px: columns cut off on the left.
        height_px: height of the target.
        width_px: width of the target.
    """

    scaled_height_px: int
    scaled_width_px: int
    top_px: int
    left_px: int
    height_px: int
    width_px: int


def bucket_for(height_px: int, width_px: int, resolution: Resolution) -> Size:
    """The bucket whose height/width is nearest to the picture's; of two as near, the wider one."""
    ratio = height_px / width_px
    return min(BUCKETS[resolution], key=lambda size: abs(size.height_px / size.width_px - ratio))


def cover_crop(source_height_px: int, source_width_px: int, height_px: int, width_px: int) -> CoverCrop:
    """The geometry that turns a picture into height_px x width_px without bars, for pictures and masks alike.

    The product is rounded up as the authors do it, float error included (it may add one row that the crop
    cuts): their tensors are reproduced to the pixel only so.
    """
    scale = max(height_px / source_height_px, width_px / source_width_px)
    scaled_height_px = math.ceil(scale * source_height_px)
    scaled_width_px = math.ceil(scale * source_width_px)
    return CoverCrop(
        scaled_height_px,
        scaled_width_px,
        top_px=round((scaled_height_px - height_px) / 2),
        left_px=round((scaled_width_px - width_px) / 2),
        height_px=height_px,
        width_px=width_px,
    )
