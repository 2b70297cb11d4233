"""What of a sampler's widgets goes with the model that its loader names, told before anything runs."""

from collections.abc import Mapping
from typing import Any

from ....multitalk.common.errors import InputError
from ....multitalk.windows import flashtalk, skyreels
from ....multitalk.windows.settings import (
    FLASHTALK_SCHEDULE,
    SKYREELS_SCHEDULE,
    NoiseSchedule,
    WindowSettings,
)
from ....multitalk.windows.whole_model import check_scheduler
from .posted_modes import posted_mode
from .request import CUSTOM_SIZE, SIZES

Widgets = dict[str, int | str]

MULTITALK_MOTION_FRAMES = 25
"""As MultiTalk's own windows have it."""

DEFAULTS: Mapping[str, tuple[WindowSettings, str]] = {
    "multitalk": (WindowSettings(motion_frames=MULTITALK_MOTION_FRAMES), NoiseSchedule().scheduler),
    "flashtalk": (flashtalk.WINDOWS, FLASHTALK_SCHEDULE),
    "skyreels": (skyreels.WINDOWS, SKYREELS_SCHEDULE),
}
"""The windows and the scheduler of each mode that has others than the node begins with."""


def fit_of(loader: Mapping[str, Any], scheduler: object) -> tuple[str, Widgets]:
    """Why the sampler's scheduler does not go with a loader's model, and the widgets' values that do.

    Args:
        loader: the widgets of EverTalk Model Loader or EverTalk Apply.
        scheduler: the sampler's.

    Returns:
        Nothing of both where they go together, or where it is not known.
    """
    mode = posted_mode(loader)
    if mode is None or not isinstance(scheduler, str):
        return "", {}
    try:
        check_scheduler(mode, scheduler, str(loader.get("base_model", loader["talk_model"])))
    except InputError as error:
        return str(error), defaults_of(mode)
    return "", {}


def defaults_of(mode: str) -> Widgets:
    """The scheduler, size and windows that the weights of a mode were made for."""
    is_flash = mode == "flashtalk"
    windows, scheduler = DEFAULTS.get(mode, (WindowSettings(), NoiseSchedule().scheduler))
    widgets: Widgets = {
        "scheduler": scheduler,
        "size": CUSTOM_SIZE if is_flash else SIZES[0],
        "window_frames": windows.window_frames,
        "motion_frames": windows.motion_frames,
    }
    return {**widgets, "width": flashtalk.WIDTH_PX, "height": flashtalk.HEIGHT_PX} if is_flash else widgets
