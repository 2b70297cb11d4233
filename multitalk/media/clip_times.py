"""When a clip shows its frames, read from its packets: nothing is decoded."""

import math
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

from .frame_reader import GUESSED_FPS, TOLERANCE_TICKS, origin_s, picture_stream
from .media_file import open_media

FASTEST_FPS = 240
"""A header that claims more is not believed: the mean of the times is taken."""


@dataclass(frozen=True, slots=True)
class ClipTimes:
    """When a clip shows its frames.

    Attributes:
        stamps: the time of each frame in ticks, from the file's beginning on; rising.
        base: seconds of a tick.
        fps: its usual frames a second.
    """

    stamps: "array[int]"
    base: Fraction
    fps: Fraction

    @property
    def step(self) -> int:
        """Ticks from one frame to the next, as a rule; at least one."""
        return max(1, round(1 / (self.fps * self.base)))

    def time_s(self, frame: int) -> float:
        """When a frame is shown."""
        return float(self.stamps[frame] * self.base)

    def frame_at(self, time_s: float) -> int:
        """The number of the frame that is shown at a time; the first one before it is."""
        return max(0, bisect_right(self.stamps, self.tick_at(time_s)) - 1)

    def tick_at(self, time_s: float) -> int:
        """The tick nearest to a time."""
        return math.floor(Fraction(time_s) / self.base + Fraction(TOLERANCE_TICKS))


def read_clip_times(video: str | bytes) -> ClipTimes:
    """The times of all frames of a clip that has moving pictures: a path, or the bytes of a file.

    Raises:
        FFmpegError, OSError: it cannot be read.
    """
    with open_media(video) as container:
        stream = picture_stream(container)
        assert stream is not None, "SourceVideo looked"
        assert stream.time_base is not None, "a stream in a file has a time base"
        base = Fraction(stream.time_base)
        origin = round(origin_s(container) / base)
        told = stream.guessed_rate or stream.average_rate or GUESSED_FPS
        step = max(1, round(1 / (Fraction(told) * base)))
        last = -step
        found: set[int] = set()
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            # Files of the oldest kinds tell no times: their frames follow each other at the file's rate.
            stamp = packet.dts if packet.pts is None else packet.pts
            last = last + step if stamp is None else stamp - origin
            found.add(last)
    stamps = array("q", sorted(found) or [0])
    return ClipTimes(stamps, base, usual_fps(Fraction(told), stamps, base))


def usual_fps(told: Fraction, stamps: "array[int]", base: Fraction) -> Fraction:
    """The rate that a header tells, or the mean of the times where that cannot be."""
    if 1 <= told <= FASTEST_FPS:
        return told
    lasts = (stamps[-1] - stamps[0]) * base
    mean = Fraction(len(stamps) - 1) / lasts if lasts > 0 else GUESSED_FPS
    return min(max(mean, Fraction(1)), Fraction(FASTEST_FPS)).limit_denominator(1001)
