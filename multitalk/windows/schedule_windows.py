"""What depends on whose schedule a video is sampled with: its windows, and the model that they belong to."""

from collections.abc import Sequence

from . import flashtalk, skyreels
from .plan import Window, plan_windows
from .settings import WindowSettings, is_flashtalk, is_skyreels
from .whole_model import WholeModel


def whole_model_under(scheduler: str) -> WholeModel | None:
    """The model that a schedule belongs to, if it belongs to one with a single unguided voice."""
    if is_skyreels(scheduler):
        return skyreels.MODEL
    return flashtalk.MODEL if is_flashtalk(scheduler) else None


def windows_under(
    scheduler: str, video_frames: int, windows: WindowSettings, cuts: Sequence[int] = ()
) -> tuple[Window, ...]:
    """Windows that together give exactly `video_frames` frames.

    Args:
        scheduler: its windows lead in, end on stills, or neither.
        video_frames: length of the video, at least 1.
        windows: their form.
        cuts: see plan.plan_windows; SkyReels' windows have none.

    Raises:
        InputError: windows with no room for the frames that they let go.
    """
    if is_skyreels(scheduler):
        assert not cuts, "a clip is refused before"
        skyreels.check_windows(windows)
        return skyreels.plan_windows(video_frames, windows)
    return plan_windows(
        video_frames, windows.window_frames, windows.motion_frames, cuts, leads=is_flashtalk(scheduler)
    )


def dropped_under(scheduler: str) -> int:
    """How many of its last frames each window but the last lets go."""
    return skyreels.DROPPED_FRAMES if is_skyreels(scheduler) else 0
