"""From frames to a video stream of a container, H.264 unless another codec is asked for.

Shape letters: H height, W width; the last axis of frames is red, green, blue.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from .stream_codecs import H264, StreamCodec, VideoSettings


class Frames(Protocol):
    """Frames (H, W, 3), 0..1, of one size: a tensor of them, or what makes each as it is asked for."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[torch.Tensor]: ...


class FrameEncoder:
    """A video stream of a container, fed frame by frame. Its groups of pictures are closed.

    Args:
        container: open for writing, with nothing written yet.
        height, width: pixels, both even.
        settings: encoder settings.
        codec: which encoder.
    """

    def __init__(
        self,
        container: OutputContainer,
        height: int,
        width: int,
        settings: VideoSettings,
        codec: StreamCodec | None = None,
    ) -> None:
        self._codec = codec or H264()
        stream = container.add_stream(self._codec.encoder, rate=settings.fps)
        assert isinstance(stream, VideoStream), f"{self._codec.encoder} makes pictures"
        stream.height, stream.width = height, width
        self._codec.set_up(stream, settings)
        self._container = container
        self._stream = stream
        self._fps = settings.fps
        self._reformatter = VideoReformatter()
        self._frames = 0

    def encode(self, frame_HWC: torch.Tensor) -> None:
        """Encode the next frame, 0..1."""
        frame = self._codec.picture(frame_HWC, self._reformatter)
        frame.pts = self._frames
        frame.time_base = 1 / self._fps
        self._container.mux(self._stream.encode(frame))
        self._frames += 1

    def flush(self) -> None:
        """Write what the encoder still holds."""
        packets = self._stream.encode(None)
        self._container.mux(self._codec.last_packets(packets, self._frames))
