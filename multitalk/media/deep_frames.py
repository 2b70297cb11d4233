"""Decoded frames as float RGB, with all the bits that they have.

Shape letters: H height, W width; the last axis of frames is red, green, blue.
"""

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange

from .one_thread import ONE_THREAD
from .picture_codecs import from_linear

WHITE_OF = {"gbrp10le": 1023, "gbrp12le": 4095, "gbrp14le": 16_383, "gbrp16le": 65_535}
"""Planar RGB that PyAV hands out as it is, and its largest value."""

HALF_PLANES = "gbrpf16le"
RED_FROM_PLANES = (2, 0, 1)
"""Planes come green, blue, red."""


def is_deep(frame: av.VideoFrame) -> bool:
    """Whether a frame has more than 8 bits a colour."""
    return any(component.bits > 8 for component in frame.format.components)


def deep_rgb(frame: av.VideoFrame) -> torch.Tensor:
    """A frame of more than 8 bits as float32 0..1 (H, W, 3), by the range and colours of its tags.

    Half floats are OpenEXR's and hold linear light; they come back as sRGB like everything else.
    """
    name = frame.format.name
    if name == HALF_PLANES:
        return from_linear(_half_planes(frame))
    if name in WHITE_OF:
        values = frame.to_ndarray(format=name).astype(np.float32)
        return torch.from_numpy(values).div_(WHITE_OF[name])
    wide = frame.reformat(
        format="rgb48le",
        src_colorspace=frame.colorspace,
        src_color_range=frame.color_range or ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        **ONE_THREAD,
    )
    return torch.from_numpy(wide.to_ndarray().astype(np.float32)).div_(65_535)


def _half_planes(frame: av.VideoFrame) -> torch.Tensor:
    planes = [
        np.frombuffer(bytes(plane), dtype="<f2").reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]
    return torch.from_numpy(np.stack([planes[index] for index in RED_FROM_PLANES], axis=-1)).float()
