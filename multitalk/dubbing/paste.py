"""A region that was made to talk goes back into the clip: its own frames, size and times.

Shape letters: F frames that a window made, H and W pixels, C channels.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate

import torch
from torch.nn import functional as F

from ..common.types import FPS
from ..media.clip_times import ClipTimes
from ..media.frame_clock import FrameClock, TimedClock
from ..media.frame_reader import FrameReader
from ..windows.settings import FrameSize
from .cuts import cut_frames
from .region import lay_over
from .source import SourceVideo
from .work_region import RegionView

ROUNDING_TICKS = Fraction(3, 4)
"""A file's times are whole ticks: a steady rate shows in them as times this little from their places."""

LEAST_APART_S = Fraction(1, 1000)
"""Clips that were cut and joined have frames that are nearer to each other; files count in ticks as long as
this, and with two frames at one time an MP4 cannot be made."""

TAIL_FRAMES = 2
"""Made frames by which sound and pictures of one file may end apart."""


@dataclass(frozen=True, slots=True)
class ShownFrames:
    """The frames of the finished video.

    Attributes:
        times: when the clip shows its frames.
        first: the clip's frame that the video begins on.
        stamps: when each is shown, in the clip's ticks from the video's beginning on; the first is 0.
        made: which made frame each goes with, the nearest in time of its scene; never falls.
        bare: which frames get nothing pasted, being of a scene of which nothing was made.
    """

    times: ClipTimes
    first: int
    stamps: "array[int]"
    made: "array[int]"
    bare: frozenset[int] = field(default_factory=frozenset[int])

    @property
    def clock(self) -> FrameClock | None:
        """Their times; None where they are those of the steady rate of the clip."""
        ticks_a_frame = 1 / (self.times.fps * self.times.base)
        if all(
            abs(stamp - frame * ticks_a_frame) <= ROUNDING_TICKS for frame, stamp in enumerate(self.stamps)
        ):
            return None
        return TimedClock(self.stamps, self.times.base, self.times.step)

    def clip_s(self, number: int) -> float:
        """The time in the clip of a frame; the last one stays where the clip has ended."""
        return self.times.time_s(min(self.first + number, len(self.times.stamps) - 1))


def shown_frames(
    times: ClipTimes, start_s: float, made_frames: int, cuts_s: tuple[float, ...] = ()
) -> ShownFrames:
    """Which frames of a clip a video shows that begins in it at a time, and what is pasted into each.

    Where the clip ends before the video does, its last frame is shown on, at the clip's usual rate. Sound and
    pictures of a file seldom end together: for up to TAIL_FRAMES neither is the clip shown on, nor is what is
    left of it cut off.

    Args:
        times: the clip's.
        start_s: where in the clip the video begins.
        made_frames: how many frames are made, at FPS.
        cuts_s: times in the clip at which another scene begins; rising.
    """
    first = times.frame_at(start_s)
    # One number for all: rounded each by itself, frames that are a tick apart would come to the same time.
    begin = times.tick_at(start_s)
    stamps = [max(0, stamp - begin) for stamp in times.stamps[first:]]
    stamps[0] = 0
    end, tail = (Fraction(frames, FPS) / times.base for frames in (made_frames, TAIL_FRAMES))
    clip_end = stamps[-1] + times.step
    shown = stamps if clip_end <= end + tail else stamps[: bisect_left(stamps, end)]
    if clip_end < end - tail:
        shown += range(clip_end, int(end), times.step)
    shown = apart(shown, math.ceil(LEAST_APART_S / times.base))
    scenes = _Scenes.of(cuts_s, start_s, made_frames)
    made, bare = array("q"), set[int]()
    for number, stamp in enumerate(shown):
        clip_frame = min(first + number, len(times.stamps) - 1)
        nearest = (2 * FPS * stamp * times.base.numerator + times.base.denominator) // (
            2 * times.base.denominator
        )
        frame, is_bare = scenes.made_frame(nearest, times.time_s(clip_frame))
        made.append(frame)
        if is_bare:
            bare.add(number)
    return ShownFrames(times, first, array("q", shown), made, frozenset(bare))


def apart(stamps: Iterable[int], ticks: int) -> list[int]:
    """Times of which each is so many ticks, at least, after the one before; later ones wait their turn."""
    return list(accumulate(stamps, lambda before, stamp: max(stamp, before + ticks)))


@dataclass(frozen=True, slots=True)
class _Scenes:
    cuts_s: tuple[float, ...]
    edges: tuple[int, ...]

    @classmethod
    def of(cls, cuts_s: tuple[float, ...], start_s: float, made_frames: int) -> "_Scenes":
        """The made frames at which each scene begins, and behind the last one."""
        first_frames = [(cut_frames((cut_s,), start_s) or (0,))[0] for cut_s in cuts_s]
        return cls(cuts_s, (0, *(min(frame, made_frames) for frame in first_frames), made_frames))

    def made_frame(self, nearest: int, clip_s: float) -> tuple[int, bool]:
        """The made frame nearest to one of those of the clip's scene; and whether the scene has none."""
        scene = bisect_right(self.cuts_s, clip_s)
        first, behind = self.edges[scene], self.edges[scene + 1]
        if first == behind:
            return min(first, self.edges[-1] - 1), True
        return min(max(nearest, first), behind - 1), False


def pasted_size(clip: FrameSize) -> FrameSize:
    """The finished video's size: the clip's own, without an odd last row or column."""
    return FrameSize(clip.height_px & ~1, clip.width_px & ~1)


class Paster:
    """Puts windows back into a clip. Reads forward; holds one frame of the clip.

    Args:
        video: the clip.
        view: of its region.
        start_s: where in the clip the video begins.
        made_frames: how many frames the windows make together.
    """

    def __init__(self, video: SourceVideo, view: RegionView, start_s: float, made_frames: int) -> None:
        self._video, self._view = video, view
        self._reader: FrameReader | None = None
        self.shown = shown_frames(view.work.times, start_s, made_frames, view.work.cuts_s)
        self.clock = self.shown.clock
        self.size = pasted_size(view.work.clip)
        self.largest_outside = 0.0
        self.pasted = 0

    @property
    def fps(self) -> Fraction:
        """Frames a second of the finished video, as a rule."""
        return self.shown.times.fps

    def seconds(self, frames: int) -> float:
        """How long so many frames last from the first on."""
        if self.clock is None:
            return float(frames / self.fps)
        return float(self.clock.ticks(frames) * self.clock.time_base)

    def most_pixels(self, made_frames: int) -> int:
        """Pixels of the video's frames that go with so many made ones; more are not to be believed."""
        clip_frames = 4 * made_frames * max(1, round(self.fps / FPS)) + 4
        return self.size.height_px * self.size.width_px * clip_frames

    def window(self, start: int, made_FHWC: torch.Tensor) -> "PastedFrames":
        """The video's frames that go with made ones, the first of them number `start`."""
        return PastedFrames(self, start, made_FHWC)

    def close(self) -> None:
        """Close the clip."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def report(self) -> str:
        """What became of the pixels outside the region."""
        return (
            f"region: pasted into {self.pasted} frames of the clip; largest difference outside the region: "
            f"{self.largest_outside:g} (of 1, before encoding)"
        )

    def frame(self, number: int, made_HWC: torch.Tensor) -> torch.Tensor:
        """Frame `number` of the video (H, W, 3) with a made frame in its region."""
        if self._reader is None:
            self._reader = self._video.reader()
        time_s = self.shown.clip_s(number)
        clip = self._view.work.clip
        # Recorded streams change their size in the middle.
        frame_HWC = resized(self._reader.frame_at(time_s), clip.height_px, clip.width_px)
        if number not in self.shown.bare:
            self._paste(frame_HWC, made_HWC, time_s)
        return frame_HWC[: self.size.height_px, : self.size.width_px]

    def _paste(self, frame_HWC: torch.Tensor, made_HWC: torch.Tensor, time_s: float) -> None:
        box, alpha_HW = self._view.box_at(time_s), self._view.alpha_at(time_s)
        top, left = max(0, box.top), max(0, box.left)
        bottom = min(frame_HWC.shape[0], box.top + box.height)
        right = min(frame_HWC.shape[1], box.left + box.width)
        seen = (slice(top - box.top, bottom - box.top), slice(left - box.left, right - box.left))
        alpha_HW = resized(alpha_HW[..., None], box.height, box.width)[..., 0][seen].clamp(0, 1)
        made_HWC = resized(made_HWC.float().cpu(), box.height, box.width)[seen].clamp(0, 1)
        own_HWC = frame_HWC[top:bottom, left:right]
        result_HWC = lay_over(own_HWC, made_HWC, alpha_HW)
        outside_HW = alpha_HW == 0
        if outside_HW.any():
            apart = float((result_HWC - own_HWC)[outside_HW].abs().max())
            self.largest_outside = max(self.largest_outside, apart)
        frame_HWC[top:bottom, left:right] = result_HWC
        self.pasted += 1


@dataclass(frozen=True, slots=True)
class PastedFrames:
    """The video's frames that go with some made ones; each is read and pasted when it is asked for.

    Attributes:
        paster: of the run.
        start: number of the first made frame.
        made_FHWC: the made frames, 0..1.
    """

    paster: Paster
    start: int
    made_FHWC: torch.Tensor

    @property
    def numbers(self) -> range:
        """Which frames of the video they are."""
        made = self.paster.shown.made
        return range(bisect_left(made, self.start), bisect_left(made, self.start + len(self.made_FHWC)))

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for number in self.numbers:
            made = self.paster.shown.made[number] - self.start
            yield self.paster.frame(number, self.made_FHWC[made])


def resized(frame_HWC: torch.Tensor, height_px: int, width_px: int) -> torch.Tensor:
    """A frame, 0..1, at another size; smoothly when it grows, without aliases when it shrinks."""
    if tuple(frame_HWC.shape[:2]) == (height_px, width_px):
        return frame_HWC
    frame_CHW = frame_HWC.movedim(-1, 0)[None]
    size = (height_px, width_px)
    mode = "bicubic" if frame_HWC.shape[-1] > 1 else "bilinear"
    return F.interpolate(frame_CHW, size, mode=mode, antialias=True)[0].movedim(0, -1).clamp(0, 1)
