"""How a decoded frame is meant to be seen: turned, mirrored, and with pixels that are not square.

Cameras write how they were held into a display matrix, and DVD, HDV and older cameras keep pictures whose
pixels are wider or narrower than high.

Shape letters: H height, W width; the last axis of frames is red, green, blue.
"""

import struct
from fractions import Fraction
from typing import NamedTuple

import av
import torch
from av.sidedata.sidedata import SideDataContainer
from av.video.stream import VideoStream
from torch.nn import functional as F

from .video_reader import rgb_frame

MATRIX = struct.Struct("=9i")
"""FFmpeg's display matrix: a, b, u, c, d, v, x, y, w; a point (x, y) goes to (ax + cy, bx + dy)."""

SQUARE = Fraction(1)

WIDEST_PIXEL = 4
"""Beyond 1:4 and 4:1 no camera goes: such a header is wrong, and pixels are taken as square."""


class Orientation(NamedTuple):
    """What is to be done with a frame as it is stored, in this order: one of the eight ways to lay a sheet.

    Attributes:
        is_transposed: rows become columns.
        flips_rows: top and bottom change places.
        flips_columns: left and right change places.
    """

    is_transposed: bool = False
    flips_rows: bool = False
    flips_columns: bool = False


def orientation(frame: av.VideoFrame) -> Orientation:
    """What a frame's display matrix asks for; angles between are rounded to quarters."""
    # The frame's own `side_data` refers to the frame, which keeps it: each frame that was asked for it would
    # stay, with its pixels and the threads that converted them, until Python collects its garbage.
    matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # pyright: ignore[reportCallIssue]
    if matrix is None:
        return Orientation()
    a, b, _, c, d, *_ = MATRIX.unpack(bytes(matrix))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(is_transposed=True, flips_rows=b < 0, flips_columns=c < 0)
    return Orientation(is_transposed=False, flips_rows=d < 0, flips_columns=a < 0)


def pixel_shape(stream: VideoStream) -> Fraction:
    """How wide a stream's pixels are for their height; 1 where the file does not say, or cannot be right."""
    shape = stream.sample_aspect_ratio
    if shape is None or not Fraction(1, WIDEST_PIXEL) <= shape <= WIDEST_PIXEL:
        return SQUARE
    return Fraction(shape)


def square_size(height_px: int, width_px: int, pixel: Fraction) -> tuple[int, int]:
    """Height and width of a stored picture with square pixels: none is lost, the shorter side grows."""
    if pixel >= 1:
        return height_px, round(width_px * pixel)
    return round(height_px / pixel), width_px


def seen_size(height_px: int, width_px: int, pixel: Fraction, way: Orientation) -> tuple[int, int]:
    """Height and width of a stored picture as it is seen."""
    height_px, width_px = square_size(height_px, width_px, pixel)
    return (width_px, height_px) if way.is_transposed else (height_px, width_px)


def upright(frame: av.VideoFrame, pixel: Fraction = SQUARE) -> torch.Tensor:
    """A decoded frame as (H, W, 3), 0..1, with square pixels, turned as its display matrix says."""
    frame_HWC = rgb_frame(frame)
    if pixel != 1:
        size = square_size(frame.height, frame.width, pixel)
        frame_CHW = frame_HWC.movedim(-1, 0)[None]
        frame_HWC = F.interpolate(frame_CHW, size, mode="bilinear", antialias=True)[0].movedim(0, -1)
    way = orientation(frame)
    if way.is_transposed:
        frame_HWC = frame_HWC.transpose(0, 1)
    axes = [axis for axis, flips in enumerate((way.flips_rows, way.flips_columns)) if flips]
    return frame_HWC.flip(axes).contiguous()
