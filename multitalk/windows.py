"""Which frames each window computes, takes over from the one before, and gives to the video."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the video; all numbers count video frames.

    Attributes:
        index: 0 for the first.
        start: position in the video of the window's first frame.
        frames: how many the window computes; the same for all windows of a run.
        motion: how many of its first frames repeat the end of the window before; 0 in the first.
        new: how many it adds to the video, from `start + motion` on; fewer than it computes at the very end.
    """

    index: int
    start: int
    frames: int
    motion: int
    new: int


def plan_windows(video_frames: int, window_frames: int, motion_frames: int) -> tuple[Window, ...]:
    """Windows that together give exactly `video_frames` frames.

    Args:
        video_frames: length of the video, at least 1.
        window_frames: frames of one window.
        motion_frames: frames that each later window shares with the one before; fewer than window_frames.
    """
    assert video_frames >= 1, "a video has a frame"
    assert 0 < motion_frames < window_frames, "each window must add frames"
    advance = window_frames - motion_frames
    windows = [Window(0, 0, window_frames, 0, min(window_frames, video_frames))]
    done = windows[0].new
    while done < video_frames:
        index = len(windows)
        new = min(advance, video_frames - done)
        windows.append(Window(index, index * advance, window_frames, motion_frames, new))
        done += new
    return tuple(windows)
