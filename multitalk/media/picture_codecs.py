"""Single frames as picture files: PNG for everything, OpenEXR for compositing.

Shape letters: H height, W width; the last axis of frames is red, green, blue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import torch
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

_THREADS = "1"  # a picture is small, and what encoders give may depend on the number


class PictureCodec(Protocol):
    """What makes a picture file of a frame."""

    @property
    def suffix(self) -> str:
        """Of the file's name."""
        ...

    def encode(self, frame_HWC: torch.Tensor) -> bytes:
        """The file of a frame, 0..1."""
        ...


@dataclass(frozen=True, slots=True)
class Png:
    """8 bits a colour."""

    suffix: str = ".png"

    def encode(self, frame_HWC: torch.Tensor) -> bytes:
        """See PictureCodec."""
        bytes_HWC = frame_HWC.float().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
        return _encoded("png", "rgb24", bytes_HWC.contiguous().numpy(), {})


@dataclass(frozen=True, slots=True)
class Exr:
    """Half floats of linear light, as compositing programs expect of OpenEXR; Rec. 709 primaries."""

    suffix: str = ".exr"

    def encode(self, frame_HWC: torch.Tensor) -> bytes:
        """See PictureCodec."""
        linear_HWC = to_linear(frame_HWC.to("cpu", torch.float32).clamp(0, 1))
        # Rounded to half here, since FFmpeg cuts off instead.
        rounded_HWC = linear_HWC.half().float().contiguous()
        return _encoded("exr", "gbrpf32le", rounded_HWC.numpy(), {"format": "half", "compression": "zip16"})


def to_linear(encoded: torch.Tensor) -> torch.Tensor:
    """Linear light of sRGB values, both 0..1 (IEC 61966-2-1)."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def from_linear(linear: torch.Tensor) -> torch.Tensor:
    """Values of sRGB for linear light, both 0..1."""
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curved)


def _encoded(codec: str, pixels: str, values: NDArray[Any], options: Mapping[str, str]) -> bytes:
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, VideoCodecContext), f"{codec} makes pictures"
    encoder.height, encoder.width = values.shape[:2]
    encoder.pix_fmt = pixels
    encoder.time_base = Fraction(1, 1)
    encoder.options = {**options, "threads": _THREADS}
    frame = av.VideoFrame.from_ndarray(values, format=pixels)
    frame.pts, frame.time_base = 0, Fraction(1, 1)
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
