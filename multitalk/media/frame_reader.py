"""Frames of a video by time, read by seeking; two decoded frames are all that is held.

Shape letters: H height, W width; the last axis of frames is red, green, blue.
"""

import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import torch
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from av.video.stream import VideoStream

from .frame_shape import pixel_shape, upright
from .media_file import is_decodable, open_media
from .video_reader import MAX_PIXELS

LOG = logging.getLogger("evertalk")

TOLERANCE_TICKS = 0.5
"""A frame this little after a time counts as at it: its own time was rounded to ticks of the time base."""

SEEK_AHEAD_S = 10.0
"""Further ahead than this the reader seeks; nearer, decoding on is as quick, for key frames are far apart."""

FIRST_STEP_BACK_S = 1.0
"""How much earlier the second try to seek aims, where the first one found nothing at or before its aim."""

GUESSED_FPS = Fraction(25)
"""Where neither times nor a rate are written in the file."""


class TimedFrame(NamedTuple):
    """A decoded frame and when it is shown, in units of the stream's time base."""

    frame: av.VideoFrame
    pts: int


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The stream of moving pictures; the cover of an audio file is none, nor is what nothing decodes."""
    known = filter(is_decodable, container.streams.video)
    return next((one for one in known if not one.disposition & Disposition.attached_pic), None)


def origin_s(container: InputContainer) -> Fraction:
    """When a file's time begins: with the first of its streams."""
    return Fraction(container.start_time or 0, av.time_base)


class FrameReader:
    """Gives the frame that a video shows at a time. Rising times are decoded on, others are sought.

    Args:
        video: a path, or the bytes of a file. It has a stream of moving pictures.
        max_pixels: of a frame; larger ones are not decoded.
    """

    def __init__(self, video: str | bytes, max_pixels: int = MAX_PIXELS) -> None:
        self._video, self._max_pixels = video, max_pixels
        self._open()

    def _open(self) -> None:
        self._container = open_media(self._video)
        stream = picture_stream(self._container)
        assert stream is not None, "SourceVideo looked"
        assert stream.time_base is not None, "a stream in a file has a time base"
        stream.thread_type = "AUTO"
        # The decoder's own limit too: later frames may be larger than the header says.
        stream.codec_context.options = {"max_pixels": str(self._max_pixels)}
        self._stream = stream
        self._pixel = pixel_shape(stream)
        self._time_base = Fraction(stream.time_base)
        self._origin = round(origin_s(self._container) / self._time_base)
        self._take_two()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def standing(self) -> av.VideoFrame | None:
        """The decoded frame that the reader is at, the first at the beginning; None: there is none."""
        return None if self._now is None else self._now.frame

    def frame_at(self, time_s: float) -> torch.Tensor:
        """The frame (H, W, 3), 0..1, as seen, at or before a time: the last past the end, else the first."""
        return self.seen(self.shown_at(time_s))

    def shown_at(self, time_s: float) -> TimedFrame:
        """The decoded frame of which frame_at gives the picture; while it is shown, its pts stays."""
        return self._shown(self._origin + math.floor(time_s / self._time_base + TOLERANCE_TICKS))

    def seen(self, shown: TimedFrame) -> torch.Tensor:
        """A decoded frame as frame_at gives it."""
        return upright(shown.frame, self._pixel)

    def frames_from_start(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """All decoded frames, not turned upright, each with the time from which frame_at gives it."""
        self._seek(self._origin)
        while self._now is not None:
            ticks = self._now.pts - self._origin - Fraction(TOLERANCE_TICKS)
            yield float(ticks * self._time_base), self._now.frame
            self._step()

    def _shown(self, pts: int) -> TimedFrame:
        if self._now is None or pts < self._now.pts or (self._next is not None and self._is_far(pts)):
            self._seek(pts)
        while self._next is not None and self._next.pts <= pts:
            self._step()
        assert self._now is not None, "SourceVideo found a frame"
        return self._now

    def _is_far(self, pts: int) -> bool:
        assert self._now is not None, "there is a frame"
        return (pts - self._now.pts) * self._time_base > SEEK_AHEAD_S

    def _step(self) -> None:
        self._now, self._next = self._next, next(self._frames, None)

    def _take_two(self) -> None:
        self._frames = self._decoded()
        self._now, self._next = next(self._frames, None), next(self._frames, None)

    def _seek(self, pts: int) -> None:
        """Stand on a frame at or before `pts`, or on the first."""
        aim, step_back = pts, round(FIRST_STEP_BACK_S / self._time_base)
        while aim > self._origin:
            try:
                self._container.seek(aim, stream=self._stream)
                self._take_two()
            except FFmpegError:
                self._now = None
            if self._now is not None and self._now.pts <= pts:
                return
            # There are files without an index, and seeking past the end may find nothing: aim earlier.
            aim, step_back = aim - step_back, 2 * step_back
        self._container.close()
        self._open()

    def _decoded(self) -> Iterator[TimedFrame]:
        step = max(1, round(1 / ((self._stream.average_rate or GUESSED_FPS) * self._time_base)))
        last = self._origin - step
        for frame in self._undamaged():
            stamp = frame.dts if frame.pts is None else frame.pts
            last = last + step if stamp is None else stamp
            yield TimedFrame(frame, last)

    def _undamaged(self) -> Iterator[av.VideoFrame]:
        """What can be decoded; a player, too, shows the frame before where one is damaged."""
        packets = self._container.demux(self._stream)
        damaged = 0
        while (packet := next(packets, None)) is not None:
            try:
                yield from packet.decode()
            except InvalidDataError:  # noqa: PERF203  # decoding takes far longer
                damaged += 1
        if damaged:
            LOG.warning("source_video: %d damaged packets were passed over", damaged)
