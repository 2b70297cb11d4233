"""From windows to the video's frames, with joins blended.

The last frames of a window wait until the next one is there to be blended into them.

Shape letters: F frames, H and W pixels, C channels.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from .join_metric import blend_overlap
from .loop import FinishedWindow


@dataclass(frozen=True, slots=True)
class FrameChunk:
    """Frames that are final and follow those of the chunk before.

    Attributes:
        finished: the window that made them final.
        frames_FHWC: the frames, 0..1.
        join: how many of them belong before the window's own first new frame.
        is_last: whether the video ends with them.
        held_FHWC: the window's frames that wait for the next one, or None.
    """

    finished: FinishedWindow
    frames_FHWC: torch.Tensor
    join: int
    is_last: bool
    held_FHWC: torch.Tensor | None = None


def join_windows(
    finished: Iterable[FinishedWindow],
    blend_frames: int,
    num_windows: int,
    held_FHWC: torch.Tensor | None = None,
) -> Iterator[FrameChunk]:
    """The video's frames, in order and each once, as they become final.

    Where a window begins afresh, there is nothing to blend and its frames follow as they are.

    Args:
        finished: the windows, in order.
        blend_frames: how many of a window's last frames the next one's rendering of them is blended into; no
            more than windows share, and fewer than a window adds.
        num_windows: how many windows the video has.
        held_FHWC: frames of the window before the first of these that wait for it.
    """
    for window in finished:
        is_last = window.window.index + 1 == num_windows
        frames_FHWC, join = window.frames_FHWC, 0
        if held_FHWC is not None:
            frames_FHWC, join = joined(held_FHWC, window), len(held_FHWC)
        held_FHWC = None
        waiting = 0 if is_last else min(blend_frames, len(window.frames_FHWC))
        if waiting:
            held_FHWC, frames_FHWC = frames_FHWC[-waiting:], frames_FHWC[:-waiting]
        yield FrameChunk(window, frames_FHWC, join, is_last, held_FHWC)
        # A copy, and only now that the chunk has been handed on: else all of the window would stay in
        # memory while the next one is made.
        held_FHWC = None if held_FHWC is None else held_FHWC.clone()
        del window, frames_FHWC


def joined(held_FHWC: torch.Tensor, window: FinishedWindow) -> torch.Tensor:
    """Frames that waited, blended with the window's own rendering of them, and its new ones after them.

    Blended frames take the place of that rendering: a second window of frames may not fit into memory. Only
    where the next window begins from it too, windows being shorter than twice their motion frames, is there a
    copy.
    """
    motion, new, held = window.window.motion, window.window.new, len(held_FHWC)
    if motion == 0:
        return torch.cat((held_FHWC, window.frames_FHWC))
    blended_FHWC = blend_overlap(held_FHWC, window.overlap_FHWC[-held:], held)
    following = 0 if window.motion_FHWC is None else len(window.motion_FHWC)
    if window.window.kept - following < motion:
        return torch.cat((blended_FHWC, window.frames_FHWC))
    window.made_FHWC[motion - held : motion] = blended_FHWC
    return window.made_FHWC[motion - held : motion + new]
