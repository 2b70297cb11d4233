"""How frames become an encoder's pictures: one strategy a codec, each with the colours it is tagged with.

Shape letters: H height, W width; the last axis of frames is red, green, blue.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import torch
from av.codec.codec import UnknownCodecError
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from ..common.types import FPS

BT709 = 1
"""Matrix, transfer and primaries of HD video (ITU-T H.273): the tag that every player reads alike."""

SRGB_TRANSFER, RGB_MATRIX = 13, 0

_ENCODER_THREADS = 4  # what encoders give depends on their number, so it is not left to the machine
_REPEATABLE = "mbtree=0"
"""x264's macroblock tree reads memory that nobody has written: its choices, and the file's bytes, then depend
on what the process did before (libx264 of PyAV 18.1, from 80x80 to 832x480). A run that goes on in another
process must give the same bytes. The price is some bits at the same quality."""

_SCALER_FLAGS = 0x4 | 0x4000 | 0x40000 | 0x80000  # bicubic, full chroma input, accurate rounding, bit-exact


Packets = list["av.Packet[VideoStream]"]
"""Of a video stream, in the order of decoding."""


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How frames are encoded.

    Attributes:
        fps: frames a second.
        crf: x264's constant quality, 0 (lossless) to 51; 17 looks lossless.
        preset: x264's speed preset, "ultrafast" to "veryslow".
    """

    fps: Fraction = Fraction(FPS)
    crf: int = 17
    preset: str = "medium"


class StreamCodec(Protocol):
    """What makes a video stream of frames."""

    @property
    def encoder(self) -> str:
        """FFmpeg's name of it."""
        ...

    def set_up(self, stream: VideoStream, settings: VideoSettings) -> None:
        """Set a new stream's pixels, options and tags."""
        ...

    def picture(self, frame_HWC: torch.Tensor, reformatter: VideoReformatter) -> av.VideoFrame:
        """The encoder's picture of a frame, 0..1."""
        ...

    def last_packets(self, packets: Packets, frames: int) -> Packets:
        """What the encoder gave at its end, mended where need be; `frames` is how many it was fed."""
        ...


def has_encoder(name: str) -> bool:
    """Whether this machine's FFmpeg has an encoder."""
    try:
        av.Codec(name, "w")
    except UnknownCodecError:
        return False
    return True


HEVC_DELAY = 2
"""Frames that its two levels of B-frames hold back."""


class H264:
    """8 bits, a colour for every four pixels: plays everywhere."""

    encoder = "libx264"

    def set_up(self, stream: VideoStream, settings: VideoSettings) -> None:
        """See StreamCodec."""
        stream.pix_fmt = "yuv420p"
        stream.options = {
            "crf": str(settings.crf),
            "preset": settings.preset,
            "threads": str(_ENCODER_THREADS),
            "x264-params": _REPEATABLE,
        }
        _tag_bt709(stream)

    def picture(self, frame_HWC: torch.Tensor, reformatter: VideoReformatter) -> av.VideoFrame:
        """See StreamCodec."""
        bytes_HWC = frame_HWC.float().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
        rgb = av.VideoFrame.from_ndarray(bytes_HWC.contiguous().numpy(), format="rgb24")
        return _to_yuv(rgb, "yuv420p", reformatter)

    def last_packets(self, packets: Packets, frames: int) -> Packets:
        """See StreamCodec."""
        del frames
        return packets


class Hevc10:
    """10 bits, a colour for every four pixels: no banding in soft gradients."""

    encoder = "libx265"

    def set_up(self, stream: VideoStream, settings: VideoSettings) -> None:
        """See StreamCodec."""
        stream.pix_fmt = "yuv420p10le"
        stream.codec_context.codec_tag = "hvc1"  # the tag that Apple's players know
        # Closed groups, two levels of B-frames as in H.264 (segment.py counts on both), no library version.
        closed = "open-gop=0:bframes=3:b-pyramid=1:info=0:log-level=error"
        # One frame at a time: with two, x265's rate control was once seen to wait for ever for its turn.
        fixed = f"{closed}:pools={_ENCODER_THREADS}:frame-threads=1"
        stream.options = {"crf": str(settings.crf), "preset": settings.preset, "x265-params": fixed}
        _tag_bt709(stream)

    def picture(self, frame_HWC: torch.Tensor, reformatter: VideoReformatter) -> av.VideoFrame:
        """See StreamCodec."""
        words_HWC = frame_HWC.float().clamp(0, 1).mul(65_535).round().to("cpu", torch.int32)
        words = words_HWC.numpy().astype("uint16")
        return _to_yuv(av.VideoFrame.from_ndarray(words, format="rgb48le"), "yuv420p10le", reformatter)

    def last_packets(self, packets: Packets, frames: int) -> Packets:
        """See StreamCodec.

        x265 learns how far decoding goes ahead from its third frame; of fewer it tells what was in memory.
        """
        if frames <= HEVC_DELAY:
            for index, packet in enumerate(packets):
                packet.dts = index - HEVC_DELAY
        return packets


class Ffv1:
    """10 bits of red, green and blue for every pixel, and what is encoded comes back to the bit."""

    encoder = "ffv1"

    def set_up(self, stream: VideoStream, settings: VideoSettings) -> None:
        """See StreamCodec."""
        del settings  # nothing is lost, so there is no quality to set
        stream.pix_fmt = "gbrp10le"
        stream.options = {"level": "3", "g": "1", "slices": "4", "slicecrc": "1", "threads": "4"}
        codec = stream.codec_context
        codec.colorspace, codec.color_primaries, codec.color_trc = RGB_MATRIX, BT709, SRGB_TRANSFER
        codec.color_range = ColorRange.JPEG

    def picture(self, frame_HWC: torch.Tensor, reformatter: VideoReformatter) -> av.VideoFrame:
        """See StreamCodec."""
        del reformatter
        words_HWC = frame_HWC.float().clamp(0, 1).mul(1023).round().to("cpu", torch.int32)
        return av.VideoFrame.from_ndarray(words_HWC.numpy().astype("uint16"), format="gbrp10le")

    def last_packets(self, packets: Packets, frames: int) -> Packets:
        """See StreamCodec."""
        del frames
        return packets


def _tag_bt709(stream: VideoStream) -> None:
    codec = stream.codec_context
    codec.colorspace = codec.color_trc = codec.color_primaries = BT709
    codec.color_range = ColorRange.MPEG


def _to_yuv(rgb: av.VideoFrame, pixels: str, reformatter: VideoReformatter) -> av.VideoFrame:
    return reformatter.reformat(
        rgb,
        format=pixels,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        interpolation=_SCALER_FLAGS,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )
