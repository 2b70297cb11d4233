"""The widgets of the sampler node; their defaults are those of the settings they fill."""

from comfy.samplers import SAMPLER_NAMES, SCHEDULER_NAMES
from comfy_api.latest import io

from ..multitalk.common.types import WINDOW_FRAMES
from ..multitalk.media.output_format import MP4_H264, offered_formats
from ..multitalk.model.guidance import GuidanceSettings
from ..multitalk.runs.identity import Resume
from ..multitalk.runs.manifest import MAX_WINDOWS
from ..multitalk.windows.settings import (
    MAX_SIZE_PX,
    MULTITALK_SCHEDULE,
    OWN_SCHEDULES,
    NoiseSchedule,
    WindowSettings,
)
from ..wanvideo.geometry import SIZE_MULTIPLE
from ..wanvideo.schedule import MULTITALK_TIMESTEPS
from . import sampler_tooltips as tips
from .host.run.request import CUSTOM_SIZE, SIZES, OutputForm

WIDTH_PX, HEIGHT_PX = 832, 480
"""The 480p size that the weights saw most."""

MAX_STEPS = 200
MAX_SHIFT = 100.0
MAX_SCALE = 30.0
MAX_SEED = 2**63 - 1


def sampler_widgets() -> list[io.Input]:
    """What the user sets on the node."""
    windows, schedule, guidance = WindowSettings(), NoiseSchedule(), GuidanceSettings()
    return [
        io.Combo.Input("size", options=[*SIZES, CUSTOM_SIZE], tooltip=tips.SIZE),
        _side("width", WIDTH_PX, tips.WIDTH),
        _side("height", HEIGHT_PX, tips.HEIGHT),
        _frames("window_frames", windows.window_frames, tips.WINDOW_FRAMES),
        _frames("motion_frames", windows.motion_frames, tips.MOTION_FRAMES),
        io.Combo.Input("scheduler", options=[*OWN_SCHEDULES, *SCHEDULER_NAMES], tooltip=tips.SCHEDULER),
        _steps(schedule.steps),
        io.Float.Input("shift", default=schedule.shift, min=0.1, max=MAX_SHIFT, step=0.1, tooltip=tips.SHIFT),
        io.Combo.Input(
            "sampler_name", options=SAMPLER_NAMES, default=schedule.sampler, tooltip=tips.SAMPLER_NAME
        ),
        _scale("text_scale", guidance.text_scale, tips.TEXT_SCALE),
        _scale("audio_scale", guidance.audio_scale, tips.AUDIO_SCALE),
        io.Int.Input("seed", default=0, min=0, max=MAX_SEED, control_after_generate=True, tooltip=tips.SEED),
        io.Combo.Input("output", options=[form.value for form in OutputForm], tooltip=tips.OUTPUT),
        io.String.Input("filename_prefix", default="EverTalk/talk", tooltip=tips.FILENAME_PREFIX),
        io.Combo.Input(
            "resume",
            options=[choice.value for choice in Resume],
            default=Resume.AUTO.value,
            optional=True,
            tooltip=tips.RESUME,
        ),
        io.String.Input("window_seeds", default="", optional=True, tooltip=tips.WINDOW_SEEDS),
        io.Int.Input(
            "pause_after",
            default=0,
            min=0,
            max=MAX_WINDOWS,
            optional=True,
            tooltip=tips.PAUSE_AFTER,
        ),
        io.Combo.Input(
            "format",
            options=list(offered_formats()),
            default=MP4_H264.name,
            optional=True,
            tooltip=tips.FORMAT,
        ),
    ]


def _steps(default: int) -> io.Int.Input:
    widget = io.Int.Input("steps", default=default, min=1, max=MAX_STEPS, tooltip=tips.STEPS)
    # Read by web/sampler_widgets.js.
    fixed = {MULTITALK_SCHEDULE: len(MULTITALK_TIMESTEPS)}
    widget.extra_dict = {"fixed_by": {"widget": "scheduler", "values": fixed}}
    return widget


def _side(name: str, default_px: int, tooltip: str) -> io.Int.Input:
    return io.Int.Input(
        name, default=default_px, min=SIZE_MULTIPLE, max=MAX_SIZE_PX, step=SIZE_MULTIPLE, tooltip=tooltip
    )


def _frames(name: str, default: int, tooltip: str) -> io.Int.Input:
    return io.Int.Input(name, default=default, min=1, max=WINDOW_FRAMES, tooltip=tooltip)


def _scale(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=MAX_SCALE, step=0.1, tooltip=tooltip)
