"""What is measured of each window: colour drift, the seam of its join, and its time.

Shape letters: F frames, H and W pixels, C channels.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .joins import Stretch
from .seam import NEIGHBOURS, measure_seam


@dataclass(frozen=True, slots=True)
class WindowReport:
    """Figures of one window.

    Attributes:
        index: 0 for the first.
        drift: how far its mean colour lies from the first picture's, a distance in Lab; 2 is just visible.
        seam: the step from the frame before its first one, against the change from frame to frame around it;
            1 cannot be seen. None for the first window and one that begins afresh.
        seconds: what it took.
    """

    index: int
    drift: float
    seam: float | None
    seconds: float

    def __str__(self) -> str:
        seam = "" if self.seam is None else f", seam {self.seam:.1f}"
        return f"{self.seconds:.1f} s, colour drift {self.drift:.1f}{seam}"


class WindowReporter:
    """Measures stretch after stretch; remembers the last frames of each for the next join.

    Args:
        drift: the colour drift of frames (F, H, W, 3).
        clock_s: seconds that only go up.
    """

    def __init__(
        self, drift: Callable[[torch.Tensor], float], clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._drift = drift
        self._clock_s = clock_s
        self._since_s = clock_s()
        self._before_FHWC: torch.Tensor | None = None

    def report(self, stretch: Stretch) -> WindowReport:
        """The figures of the window that the stretch finished."""
        before_FHWC, own_FHWC = stretch.frames_FHWC[: stretch.join], stretch.frames_FHWC[stretch.join :]
        if self._before_FHWC is not None:
            before_FHWC = torch.cat((self._before_FHWC, before_FHWC))
        window = stretch.finished.window
        # At a cut the picture is meant to change; of frames that wait there is nothing to compare yet.
        seam = measure_seam(before_FHWC, own_FHWC).figure if window.motion and len(own_FHWC) else None
        self._before_FHWC = torch.cat((before_FHWC[-NEIGHBOURS:], own_FHWC[-NEIGHBOURS:]))[-NEIGHBOURS:]
        now_s = self._clock_s()
        seconds, self._since_s = now_s - self._since_s, now_s
        return WindowReport(window.index, self._drift(stretch.finished.frames_FHWC), seam, seconds)
