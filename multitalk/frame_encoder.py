"""From frames to an H.264 stream: the settings and the colours that all of the pack's videos have.

Shape letters: H height, W width; the last axis of frames is red, green, blue.
"""

from dataclasses import dataclass
from fractions import Fraction

import av
import torch
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from .types import FPS

BT709 = 1
"""Matrix, transfer and primaries of HD video (ITU-T H.273): the tag that every player reads alike."""

_ENCODER_THREADS = 4  # x264's output depends on their number, so it is not left to the machine
_REPEATABLE = "mbtree=0"
"""x264's macroblock tree reads memory that nobody has written: its choices, and the file's bytes, then depend
on what the process did before (libx264 of PyAV 18.1, from 80x80 to 832x480). A run that goes on in another
process must give the same bytes. The price is some bits at the same quality."""

_SCALER_FLAGS = 0x4 | 0x4000 | 0x40000 | 0x80000  # bicubic, full chroma input, accurate rounding, bit-exact


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


class FrameEncoder:
    """An H.264 stream of a container, fed frame by frame. Its groups of pictures are closed.

    Args:
        container: open for writing, with nothing written yet.
        height, width: pixels, both even.
        settings: encoder settings.
    """

    def __init__(self, container: OutputContainer, height: int, width: int, settings: VideoSettings) -> None:
        stream = container.add_stream("libx264", rate=settings.fps)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv420p"
        stream.options = {
            "crf": str(settings.crf),
            "preset": settings.preset,
            "threads": str(_ENCODER_THREADS),
            "x264-params": _REPEATABLE,
        }
        codec = stream.codec_context
        codec.colorspace = codec.color_trc = codec.color_primaries = BT709
        codec.color_range = ColorRange.MPEG
        self._container = container
        self._stream = stream
        self._fps = settings.fps
        self._reformatter = VideoReformatter()
        self._frames = 0

    def encode(self, frame_HWC: torch.Tensor) -> None:
        """Encode the next frame, 0..1."""
        bytes_HWC = frame_HWC.float().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
        rgb = av.VideoFrame.from_ndarray(bytes_HWC.contiguous().numpy(), format="rgb24")
        frame = self._reformatter.reformat(
            rgb,
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            interpolation=_SCALER_FLAGS,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts = self._frames
        frame.time_base = 1 / self._fps
        self._container.mux(self._stream.encode(frame))
        self._frames += 1

    def flush(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))
