"""Which frames each window computes, takes over from the one before, and gives to the video."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FIRST_CLIP = -1
"""The index of a clip that is made before the first window and does not enter the video."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the video; all numbers count video frames.

    Attributes:
        index: 0 for the first; FIRST_CLIP for a clip before it.
        start: position in the video of the window's first frame.
        frames: how many the window computes; the same for all windows of a run.
        motion: how many of its first frames repeat the end of the window before; 0 in the first and at a cut.
        new: how many it adds to the video, behind those that it does not give (see `skipped`); fewer than it
            computes at the very end and before a cut.
        lead: how many of its first frames are dropped though no window before has them: they lead in to the
            video, or to a scene, for weights whose first frames are not to be seen. 0 where motion is not.
        dropped: how many of its last frames are let go when it is decoded: nothing sees them.
    """

    index: int
    start: int
    frames: int
    motion: int
    new: int
    lead: int = 0
    dropped: int = 0

    @property
    def number(self) -> int:
        """Its number in messages, from 1 on; a clip before the first window is a part of that."""
        return max(self.index, 0) + 1

    @property
    def kept(self) -> int:
        """How many of its first frames are kept when it is decoded."""
        return self.frames - self.dropped

    @property
    def skipped(self) -> int:
        """How many of its first frames are none of those that it adds."""
        return self.motion + self.lead

    @property
    def end(self) -> int:
        """Position in the video just behind the last frame that it gives."""
        return self.start + self.skipped + self.new


def plan_windows(
    video_frames: int,
    window_frames: int,
    motion_frames: int,
    cuts: Sequence[int] = (),
    *,
    leads: bool = False,
) -> tuple[Window, ...]:
    """Windows that together give exactly `video_frames` frames.

    Args:
        video_frames: length of the video, at least 1.
        window_frames: frames of one window.
        motion_frames: frames that each later window shares with the one before; fewer than window_frames.
        cuts: rising positions in the video at which the picture changes to another scene. A window begins
            afresh at each, and the one before gives no frame past it.
        leads: a window that begins afresh drops as many first frames as others share with the one before, and
            so begins that much earlier, the first of all before the video.
    """
    assert video_frames >= 1, "a video has a frame"
    assert 0 < motion_frames < window_frames, "each window must add frames"
    inner = [cut for cut in cuts if 0 < cut < video_frames]
    assert inner == sorted(set(inner)), "cuts rise"
    windows: list[Window] = []
    first_lead = motion_frames if leads else 0
    for start, end in pairwise((0, *inner, video_frames)):
        windows += scene_windows(len(windows), (start, end), window_frames, motion_frames, first_lead)
    return tuple(windows)


def scene_windows(
    first_index: int, scene: tuple[int, int], window_frames: int, motion_frames: int, lead: int
) -> list[Window]:
    """Windows of the frames of a scene, from its start up to its end; the first begins afresh."""
    start, end = scene
    advance = window_frames - motion_frames
    first_new = min(window_frames - lead, end - start)
    windows = [Window(first_index, start - lead, window_frames, 0, first_new, lead)]
    while (done := windows[-1].end) < end:
        before = windows[-1]
        new = min(advance, end - done)
        windows.append(Window(before.index + 1, before.start + advance, window_frames, motion_frames, new))
    return windows
