"""When the frames of a video are shown: at a steady rate, or each at a time of its own."""

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol


class FrameClock(Protocol):
    """Times of a video's frames, in ticks of a time base; the first frame is number 0."""

    @property
    def time_base(self) -> Fraction:
        """Seconds of a tick."""
        ...

    def ticks(self, frame: int) -> int:
        """When a frame is shown. Rises with the frame, also before the first and behind the last one."""
        ...

    def frame_at(self, time_s: Fraction) -> int:
        """The number of the frame whose time is nearest."""
        ...


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """Frames at a steady rate.

    Attributes:
        fps: frames a second.
    """

    fps: Fraction

    @property
    def time_base(self) -> Fraction:
        """See FrameClock."""
        return 1 / self.fps

    def ticks(self, frame: int) -> int:
        """See FrameClock."""
        return frame

    def frame_at(self, time_s: Fraction) -> int:
        """See FrameClock."""
        return round(time_s * self.fps)


@dataclass(frozen=True, slots=True)
class TimedClock:
    """Frames at times of their own.

    Attributes:
        stamps: the time of each frame in ticks; rising, at least one.
        base: seconds of a tick.
        step: ticks from one frame to the next where there is none of these.
    """

    stamps: "array[int]"
    base: Fraction
    step: int

    @property
    def time_base(self) -> Fraction:
        """See FrameClock."""
        return self.base

    def ticks(self, frame: int) -> int:
        """See FrameClock."""
        if frame < 0:
            return self.stamps[0] + frame * self.step
        beyond = frame - len(self.stamps) + 1
        return self.stamps[frame] if beyond <= 0 else self.stamps[-1] + beyond * self.step

    def frame_at(self, time_s: Fraction) -> int:
        """See FrameClock."""
        tick = time_s / self.base
        after = bisect_left(self.stamps, tick)
        if after == 0:
            return 0
        if after == len(self.stamps):
            return after - 1
        return after if self.stamps[after] - tick < tick - self.stamps[after - 1] else after - 1
