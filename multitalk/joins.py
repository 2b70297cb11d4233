"""From windows to the video's frames, with joins blended.

The last frames of a window wait until the next one is there to be blended into them.

Shape letters: F frames, H and W pixels, C channels.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from .generate import FinishedWindow
from .seam import blend_overlap


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames that are final and follow those of the stretch before.

    Attributes:
        finished: the window that made them final.
        frames_FHWC: the frames, 0..1.
        join: how many of them belong before the window's own first new frame.
        is_last: whether the video ends with them.
    """

    finished: FinishedWindow
    frames_FHWC: torch.Tensor
    join: int
    is_last: bool


def join_windows(
    finished: Iterable[FinishedWindow], blend_frames: int, num_windows: int
) -> Iterator[Stretch]:
    """The video's frames, in order and each once, as they become final.

    Where a window begins afresh, there is nothing to blend and its frames follow as they are.

    Args:
        finished: the windows, in order.
        blend_frames: how many of a window's last frames the next one's rendering of them is blended into; no
            more than windows share, and fewer than a window adds.
        num_windows: how many windows will come.
    """
    held_FHWC: torch.Tensor | None = None
    for window in finished:
        is_last = window.window.index + 1 == num_windows
        frames_FHWC, join = window.frames_FHWC, 0
        if held_FHWC is not None:
            frames_FHWC = torch.cat((blended_into(held_FHWC, window.overlap_FHWC), frames_FHWC))
            join = len(held_FHWC)
        held_FHWC = None
        waiting = 0 if is_last else min(blend_frames, len(window.frames_FHWC))
        if waiting:
            # A copy: a view would keep the whole window in memory through the next one.
            held_FHWC = frames_FHWC[-waiting:].clone()
            frames_FHWC = frames_FHWC[:-waiting]
        yield Stretch(window, frames_FHWC, join, is_last)


def blended_into(held_FHWC: torch.Tensor, overlap_FHWC: torch.Tensor) -> torch.Tensor:
    """Frames that waited, with the next window's rendering of as many of them as it has."""
    shared = min(len(held_FHWC), len(overlap_FHWC))
    if shared == 0:
        return held_FHWC
    tail_FHWC = blend_overlap(held_FHWC[-shared:], overlap_FHWC[-shared:], shared)
    return torch.cat((held_FHWC[:-shared], tail_FHWC))
