"""What SkyReels-V3-A2V's weights insist on beside one unguided voice, and what their authors recommend.

A first clip of one window is made from the picture and the prompt. Stretched over the whole speech, it gives
each window a still to end on, which keeps a long video from drifting away; all windows but the last let
their last frames go, so that the stills are not seen. Speech shorter than a window is that clip alone.
Source: SkyworkAI/SkyReels-V3, skyreels_v3/pipelines/talking_avatar_pipeline.py.

Shape letters: F frames, H and W pixels, C channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ..common.errors import InputError
from .ending import STILL_FRAMES, Ending
from .loop import RunSpec, SamplingBackend, generate, no_ending
from .plan import FIRST_CLIP, Window
from .settings import WindowSettings
from .whole_model import CALLED, WholeModel

WINDOWS = WindowSettings(window_frames=81, motion_frames=5)
"""The form of windows that the weights were trained on."""

DROPPED_FRAMES = 12
"""How many of their last frames windows let go: the still and those that lead to it."""

PROMPT = "a person is talking"
"""The prompt of all windows, after the first clip has had the person's own."""

MODEL = WholeModel(CALLED["skyreels"], WINDOWS)


@dataclass(frozen=True, slots=True)
class FirstClip:
    """The clip that windows take the stills from that they end on.

    Attributes:
        window: the clip, as a window.
        anchors: for each window of the video, the frame of the clip that it ends on.
    """

    window: Window
    anchors: tuple[int, ...]

    @property
    def wanted(self) -> tuple[int, ...]:
        """The frames of the clip that some window ends on, in order, each once."""
        return tuple(sorted(set(self.anchors)))


def check_windows(windows: WindowSettings) -> None:
    """Refuse windows in which nothing is left when the frames that are let go are gone.

    Raises:
        InputError: names both numbers and what to choose.
    """
    least = windows.motion_frames + DROPPED_FRAMES + 1
    if windows.window_frames < least:
        raise InputError(
            f"window_frames: {windows.window_frames} frames, expected {least} or more: SkyReels-V3's windows "
            f"repeat {windows.motion_frames} frames and let their last {DROPPED_FRAMES} go. Use "
            f"{WINDOWS.window_frames} with {WINDOWS.motion_frames} for motion_frames."
        )


def plan_windows(
    video_frames: int, windows: WindowSettings, dropped_frames: int = DROPPED_FRAMES
) -> tuple[Window, ...]:
    """Windows that together give exactly `video_frames` frames; the last one keeps all of its own."""
    frames, motion = windows.window_frames, windows.motion_frames
    advance = frames - motion - dropped_frames
    assert advance > 0, "each window must add frames"
    last = max(0, -(-(video_frames - frames) // advance))
    made = [Window(0, 0, frames, 0, min(frames, video_frames))]
    for index in range(1, last + 1):
        before = made[-1]
        made[-1] = replace(before, new=before.new - dropped_frames, dropped=dropped_frames)
        start = index * advance
        new = min(frames - motion, video_frames - start - motion)
        made.append(Window(index, start, frames, motion, new))
    return tuple(made)


def first_clip_of(windows: Sequence[Window], video_frames: int) -> FirstClip | None:
    """The first clip of a plan; None where speech is shorter than a window, which is the clip itself then.

    The clip is stretched over the frames of all windows together, those behind the end of the sound too: a
    window's still is the frame that the clip shows where the window ends.
    """
    first, last = windows[0], windows[-1]
    if video_frames < first.frames:
        return None
    clip_end, video_end = first.frames - 1, last.start + last.frames - 1
    anchors = tuple(round((window.start + window.frames - 1) * clip_end / video_end) for window in windows)
    return FirstClip(Window(FIRST_CLIP, 0, first.frames, 0, first.frames), anchors)


def make_first_clip(clip: FirstClip, spec: RunSpec, sampling_backend: SamplingBackend) -> torch.Tensor:
    """The clip's frames (F, H, W, C), 0..1, their colours matched; `spec` is that of the run."""
    (finished,) = generate(replace(spec, windows=(clip.window,), ending=no_ending), sampling_backend)
    return finished.made_FHWC


def stills_of(clip: FirstClip, still: Callable[[int], torch.Tensor]) -> Callable[[Window], Ending]:
    """What each window ends on; `still` gives a frame (H, W, C) of the clip."""
    return lambda window: Ending(still(clip.anchors[window.index]), STILL_FRAMES)
