"""What is measured of each window: colour drift, the seam of its join, and its time.

Time is taken when a window is there; the figures of its frames may be computed later, on another thread and a
CPU, while the next window is made.

Shape letters: F frames, H and W pixels, C channels.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ...wanvideo.geometry import TIME_STRIDE
from .colour import colour_drift
from .join_metric import NEIGHBOURS, frame_changes, seam_between
from .joins import FrameChunk
from .plan import Window

VISIBLE_DRIFT = 2.0
"""A distance in Lab that is just visible where two pictures stand side by side."""

VISIBLE_SEAM = 1.5
"""A step at a join, in steps from frame to frame around it, from which on it may be seen."""

DRIFT_STRIDE = TIME_STRIDE
"""Every 4th frame's colours are measured: they drift slowly."""

DRIFT_PIXELS = 25_000
"""Of a larger frame about as many are measured, evenly spread: all of 81 frames take two cores 3 s."""


@dataclass(frozen=True, slots=True)
class WindowReport:
    """Figures of one window.

    Attributes:
        index: 0 for the first.
        drift: how far its mean colour lies from the first picture's, a distance in Lab; 2 is just visible.
        seam: the step from the frame before its first one, against the change from frame to frame around it;
            1 cannot be seen. None for the first window, one that begins afresh, and a single frame after
            another.
        seconds: what it took.
    """

    index: int
    drift: float
    seam: float | None
    seconds: float

    def __str__(self) -> str:
        seam = "" if self.seam is None else f", seam {self.seam:.1f}"
        return f"{self.seconds:.1f} s, colour drift {self.drift:.1f}{seam}"


def frames_a_second(windows: Sequence[Window], seconds: Sequence[float]) -> float | None:
    """How many frames windows give for each second that one takes; the film is live from 25 on.

    The first window waits for weights, and some give fewer frames, as the last may: they do not count. None
    where no window is left, or where it is not known what they took.

    Args:
        windows: those that are made, from the first on.
        seconds: what each took.
    """
    later = list(zip(windows, seconds, strict=False))[1:]
    most = max((window.new for window, _ in later), default=0)
    counted = [taken for window, taken in later if window.new == most]
    middle = statistics.median(counted) if counted else 0.0
    return most / middle if middle > 0 else None


def spread_pixels(pictures_HWC: torch.Tensor) -> torch.Tensor:
    """Some DRIFT_PIXELS of each picture, or all: in rows and columns at even distances; a view."""
    rows, columns = pictures_HWC.shape[-3:-1]
    step = max(1, round(math.sqrt(rows * columns / DRIFT_PIXELS)))
    return pictures_HWC[..., ::step, ::step, :]


class WindowReporter:
    """Measures chunk after chunk; remembers the last frame of each, and how the ones before it changed.

    Args:
        picture: the first picture (H, W, 3) of the scene that plays now.
        clock_s: seconds that only go up.
        before_FHWC: the frames before the first chunk, if there are any.
    """

    def __init__(
        self,
        picture: Callable[[], torch.Tensor],
        clock_s: Callable[[], float] = time.monotonic,
        before_FHWC: torch.Tensor | None = None,
    ) -> None:
        self._picture = picture
        self._clock_s = clock_s
        self._since_s = clock_s()
        self._last_HWC: torch.Tensor | None = None
        self._changes = torch.empty(0)
        if before_FHWC is not None:
            self._go_on(before_FHWC)

    def measuring(self, chunk: FrameChunk) -> Callable[[], WindowReport]:
        """Take the time of the window that the chunk finished; what measures its frames.

        To be called in the order of the chunks, each once, from whichever thread.
        """
        now_s = self._clock_s()
        seconds, self._since_s = now_s - self._since_s, now_s
        picture_HWC = self._picture()  # the scene may be another by the time that it is measured
        return lambda: self._report(chunk, picture_HWC, seconds)

    @torch.no_grad()
    def _report(self, chunk: FrameChunk, picture_HWC: torch.Tensor, seconds: float) -> WindowReport:
        window, own_FHWC = chunk.finished.window, chunk.frames_FHWC[chunk.join :]
        self._go_on(chunk.frames_FHWC[: chunk.join])
        # At a cut the picture is meant to change; of frames that wait there is nothing to compare yet.
        seam = None
        comparable = len(own_FHWC) and len(own_FHWC) - 1 + len(self._changes)
        if self._last_HWC is not None and window.motion and comparable:
            seam = seam_between(self._last_HWC, self._changes, own_FHWC).figure
        self._go_on(own_FHWC)
        # On a CPU, wherever the frames are: a GPU is busy with the next window, and has no memory to spare.
        frames_FHWC = spread_pixels(chunk.finished.frames_FHWC[::DRIFT_STRIDE]).cpu()
        drift = colour_drift(frames_FHWC, spread_pixels(picture_HWC).cpu())
        return WindowReport(window.index, drift, seam, seconds)

    def _go_on(self, frames_FHWC: torch.Tensor) -> None:
        """Take frames as the ones before the next join."""
        if len(frames_FHWC) == 0:
            return
        frames_FHWC = frames_FHWC[-NEIGHBOURS - 1 :].float()
        changes = frame_changes(frames_FHWC)
        if self._last_HWC is not None:
            changes = torch.cat(((frames_FHWC[0] - self._last_HWC).abs().mean()[None], changes))
        self._changes = torch.cat((self._changes.to(changes), changes))[1 - NEIGHBOURS :]
        # A copy: a view would keep the whole window in memory through the next one.
        self._last_HWC = frames_FHWC[-1].clone()
