"""What is measured of each window: colour drift, the seam of its join, and its time.

Shape letters: F frames, H and W pixels, C channels.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .join_metric import NEIGHBOURS, frame_changes, seam_between
from .joins import FrameChunk
from .plan import Window

VISIBLE_DRIFT = 2.0
"""A distance in Lab that is just visible where two pictures stand side by side."""

VISIBLE_SEAM = 1.5
"""A step at a join, in steps from frame to frame around it, from which on it may be seen."""


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


class WindowReporter:
    """Measures chunk after chunk; remembers the last frame of each, and how the ones before it changed.

    Args:
        drift: the colour drift of frames (F, H, W, 3).
        clock_s: seconds that only go up.
        before_FHWC: the frames before the first chunk, if there are any.
    """

    def __init__(
        self,
        drift: Callable[[torch.Tensor], float],
        clock_s: Callable[[], float] = time.monotonic,
        before_FHWC: torch.Tensor | None = None,
    ) -> None:
        self._drift = drift
        self._clock_s = clock_s
        self._since_s = clock_s()
        self._last_HWC: torch.Tensor | None = None
        self._changes = torch.empty(0)
        if before_FHWC is not None:
            self._go_on(before_FHWC)

    @torch.no_grad()
    def report(self, chunk: FrameChunk) -> WindowReport:
        """The figures of the window that the chunk finished."""
        window, own_FHWC = chunk.finished.window, chunk.frames_FHWC[chunk.join :]
        self._go_on(chunk.frames_FHWC[: chunk.join])
        # At a cut the picture is meant to change; of frames that wait there is nothing to compare yet.
        seam = None
        comparable = len(own_FHWC) and len(own_FHWC) - 1 + len(self._changes)
        if self._last_HWC is not None and window.motion and comparable:
            seam = seam_between(self._last_HWC, self._changes, own_FHWC).figure
        self._go_on(own_FHWC)
        now_s = self._clock_s()
        seconds, self._since_s = now_s - self._since_s, now_s
        return WindowReport(window.index, self._drift(chunk.finished.frames_FHWC), seam, seconds)

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
