"""Which frames each window computes, takes over from the one before, and gives to the video."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the video; all numbers count video frames.

    Attributes:
        index: 0 for the first.
        start: position in the video of the window's first frame.
        frames: how many the window computes; the same for all windows of a run.
        motion: how many of its first frames repeat the end of the window before; 0 in the first and at a cut.
        new: how many it adds to the video, from `start + motion` on; fewer than it computes at the very end
            and before a cut.
    """

    index: int
    start: int
    frames: int
    motion: int
    new: int

    @property
    def end(self) -> int:
        """Position in the video just behind the last frame that it gives."""
        return self.start + self.motion + self.new


def plan_windows(
    video_frames: int, window_frames: int, motion_frames: int, cuts: Sequence[int] = ()
) -> tuple[Window, ...]:
    """Windows that together give exactly `video_frames` frames.

    Args:
        video_frames: length of the video, at least 1.
        window_frames: frames of one window.
        motion_frames: frames that each later window shares with the one before; fewer than window_frames.
        cuts: rising positions in the video at which the picture changes to another scene. A window begins
            afresh at each, and the one before gives no frame past it.
    """
    assert video_frames >= 1, "a video has a frame"
    assert 0 < motion_frames < window_frames, "each window must add frames"
    inner = [cut for cut in cuts if 0 < cut < video_frames]
    assert inner == sorted(set(inner)), "cuts rise"
    windows: list[Window] = []
    for start, end in pairwise((0, *inner, video_frames)):
        windows += scene_windows(len(windows), start, end, window_frames, motion_frames)
    return tuple(windows)


def scene_windows(
    first_index: int, start: int, end: int, window_frames: int, motion_frames: int
) -> list[Window]:
    """Windows of the frames from `start` up to `end`, the first of which begins afresh."""
    advance = window_frames - motion_frames
    windows = [Window(first_index, start, window_frames, 0, min(window_frames, end - start))]
    while (done := windows[-1].end) < end:
        before = windows[-1]
        new = min(advance, end - done)
        windows.append(Window(before.index + 1, before.start + advance, window_frames, motion_frames, new))
    return windows
