"""The widgets of the sampler node; their defaults are those of the settings they fill."""

from collections.abc import Mapping
from typing import TypeVar

from comfy.samplers import SAMPLER_NAMES, SCHEDULER_NAMES
from comfy_api.latest import io

from ..multitalk.common.types import WINDOW_FRAMES
from ..multitalk.media.output_format import MP4_H264, offered_formats
from ..multitalk.model.guidance import GuidanceSettings
from ..multitalk.runs.identity import Resume
from ..multitalk.runs.manifest import MAX_WINDOWS
from ..multitalk.windows.flashtalk import WINDOWS as FLASHTALK_WINDOWS
from ..multitalk.windows.settings import (
    BOUND_SCHEDULES,
    FIXED_TIMESTEPS,
    MAX_SIZE_PX,
    OWN_SCHEDULES,
    NoiseSchedule,
    WindowSettings,
)
from ..multitalk.windows.skyreels import WINDOWS as SKYREELS_WINDOWS
from ..wanvideo.geometry import SIZE_MULTIPLE
from . import sampler_tooltips as tips
from .advanced import advanced
from .host.run.request import CUSTOM_SIZE, SIZES, OutputForm

WIDTH_PX, HEIGHT_PX = 832, 480
"""The 480p size that the weights saw most."""

Widget = TypeVar("Widget", bound=io.WidgetInput)

TRAINED_WINDOWS: Mapping[str, WindowSettings] = {
    name: FLASHTALK_WINDOWS if bound.mode == "flashtalk" else SKYREELS_WINDOWS
    for name, bound in BOUND_SCHEDULES.items()
}
"""The form of windows that goes with the schedulers of models that have their own."""

MAX_STEPS = 200
MAX_SHIFT = 100.0
MAX_SCALE = 30.0
MAX_SEED = 2**63 - 1


def sampler_widgets() -> list[io.Input]:
    """What the user sets on the node."""
    windows, guidance = WindowSettings(), GuidanceSettings()
    return [
        io.Combo.Input("size", options=[*SIZES, CUSTOM_SIZE], tooltip=tips.SIZE),
        _side("width", WIDTH_PX, tips.WIDTH),
        _side("height", HEIGHT_PX, tips.HEIGHT),
        _set_by_scheduler(
            _frames("window_frames", windows.window_frames, tips.WINDOW_FRAMES),
            {name: trained.window_frames for name, trained in TRAINED_WINDOWS.items()},
        ),
        _set_by_scheduler(
            _frames("motion_frames", windows.motion_frames, tips.MOTION_FRAMES),
            {name: trained.motion_frames for name, trained in TRAINED_WINDOWS.items()},
        ),
        *_schedule_widgets(),
        _unguided(_scale("text_scale", guidance.text_scale, tips.TEXT_SCALE)),
        _unguided(_scale("audio_scale", guidance.audio_scale, tips.AUDIO_SCALE)),
        io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=True, tooltip=tips.SEED),
        advanced(io.Combo.Input("output", options=[form.value for form in OutputForm], tooltip=tips.OUTPUT)),
        io.String.Input("filename_prefix", default="EverTalk/talk", tooltip=tips.FILENAME_PREFIX),
        *(advanced(widget) for widget in _run_widgets()),
    ]


def _run_widgets() -> list[io.WidgetInput]:
    """How a run is continued, and how its video is written."""
    return [
        io.Combo.Input(
            "resume",
            options=[choice.value for choice in Resume],
            default=Resume.AUTO.value,
            optional=True,
            tooltip=tips.RESUME,
        ),
        io.String.Input("window_seeds", default="", optional=True, tooltip=tips.WINDOW_SEEDS),
        io.Int.Input(
            "pause_after", default=0, min=0, max=MAX_WINDOWS, optional=True, tooltip=tips.PAUSE_AFTER
        ),
        io.Combo.Input(
            "format",
            options=list(offered_formats()),
            default=MP4_H264.name,
            optional=True,
            tooltip=tips.FORMAT,
        ),
    ]


def _schedule_widgets() -> list[io.Input]:
    schedule = NoiseSchedule()
    return [
        io.Combo.Input("scheduler", options=[*OWN_SCHEDULES, *SCHEDULER_NAMES], tooltip=tips.SCHEDULER),
        _fixed_by_scheduler(
            io.Int.Input("steps", default=schedule.steps, min=1, max=MAX_STEPS, tooltip=tips.STEPS),
            {name: len(timesteps) for name, timesteps in FIXED_TIMESTEPS.items()},
        ),
        _fixed_by_scheduler(
            io.Float.Input(
                "shift", default=schedule.shift, min=0.1, max=MAX_SHIFT, step=0.1, tooltip=tips.SHIFT
            ),
            {name: bound.shift for name, bound in BOUND_SCHEDULES.items()},
        ),
        _fixed_by_scheduler(
            advanced(_sampler_widget(schedule.sampler)),
            {name: bound.sampler for name, bound in BOUND_SCHEDULES.items()},
        ),
    ]


def _sampler_widget(default: str) -> io.Combo.Input:
    return io.Combo.Input("sampler_name", options=SAMPLER_NAMES, default=default, tooltip=tips.SAMPLER_NAME)


def _fixed_by_scheduler(widget: Widget, values: Mapping[str, int | float | str]) -> Widget:
    """A widget that is not used with these schedulers, which have values of their own."""
    fixed_by = {"widget": "scheduler", "values": dict(values)}
    widget.extra_dict = {**widget.extra_dict, "fixed_by": fixed_by}  # sampler_widgets.js
    return widget


def _unguided(widget: Widget) -> Widget:
    """A scale, which is 1 with the schedulers of weights that run without guidance."""
    return _fixed_by_scheduler(widget, dict.fromkeys(BOUND_SCHEDULES, 1))


def _set_by_scheduler(widget: Widget, values: Mapping[str, int]) -> Widget:
    """A widget that the editor sets when somebody chooses one of these schedulers."""
    widget.extra_dict = {**widget.extra_dict, "set_by": {"widget": "scheduler", "values": dict(values)}}
    return widget


def _side(name: str, default_px: int, tooltip: str) -> io.Int.Input:
    return io.Int.Input(
        name, default=default_px, min=SIZE_MULTIPLE, max=MAX_SIZE_PX, step=SIZE_MULTIPLE, tooltip=tooltip
    )


def _frames(name: str, default: int, tooltip: str) -> io.Int.Input:
    return advanced(io.Int.Input(name, default=default, min=1, max=WINDOW_FRAMES, tooltip=tooltip))


def _scale(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=MAX_SCALE, step=0.1, tooltip=tooltip)
