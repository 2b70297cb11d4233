"""The sampler's widgets as one value, and the plan they make with the sockets that hold no weights."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

import torch

from ...multitalk.errors import InputError
from ...multitalk.guidance import GuidanceSettings
from ...multitalk.picture import checked_picture
from ...multitalk.run_settings import (
    FrameSize,
    ScheduleSettings,
    WindowSettings,
    checked_schedule,
    checked_size,
    checked_windows,
)
from ...multitalk.size_buckets import Resolution, Size, bucket_for
from ...multitalk.types import AudioEmbeds
from ...multitalk.window_voices import VoicePlan
from .run import RunPlan, fit_picture, windows_of

SIZES: tuple[Resolution, ...] = ("480p", "720p")
CUSTOM_SIZE = "custom"


class OutputForm(Enum):
    """What the sampler's output holds."""

    VIDEO = "video"
    LATENT = "latent"


@dataclass(frozen=True, slots=True)
class SamplerWidgets:
    """The sampler's widgets under their names."""

    size: str
    width: int
    height: int
    window_frames: int
    motion_frames: int
    scheduler: str
    steps: int
    shift: float
    sampler_name: str
    text_scale: float
    audio_scale: float
    seed: int
    output: str
    filename_prefix: str

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> "SamplerWidgets":
        """Pick the widgets out of what the host hands a node."""
        return cls(**{field.name: inputs[field.name] for field in fields(cls)})

    @property
    def guidance(self) -> GuidanceSettings:
        """Text and audio scales."""
        return GuidanceSettings(self.text_scale, self.audio_scale)

    @property
    def form(self) -> OutputForm:
        """What the output is to hold."""
        return OutputForm(self.output)


def plan_run(
    widgets: SamplerWidgets, audio_embeds: object, start_image: object, *, has_negative: bool
) -> RunPlan:
    """Check everything that can be checked without weights, and plan the run.

    Raises:
        InputError: names the socket or widget, what came, what was expected and what to do.
    """
    if not isinstance(audio_embeds, AudioEmbeds):
        raise InputError(
            f"audio_embeds: {type(audio_embeds).__name__}, expected encoded speech. Connect EverTalk Audio "
            f"Embeds."
        )
    windows, window_notes = checked_windows(WindowSettings(widgets.window_frames, widgets.motion_frames))
    schedule, schedule_notes = checked_schedule(
        ScheduleSettings(widgets.scheduler, widgets.steps, widgets.shift, widgets.sampler_name)
    )
    guidance = widgets.guidance
    if guidance.text_scale != 1 and not has_negative:
        raise InputError(
            f"negative: nothing is connected, but text_scale {guidance.text_scale:g} compares the prompt "
            f"with a "
            "negative one. Connect a negative prompt, or set text_scale to 1."
        )
    size, size_notes = size_of(widgets, start_image)
    assert isinstance(start_image, torch.Tensor), "size_of looked at it"
    picture_HWC, picture_notes = fit_picture(start_image, size)
    planned = windows_of(audio_embeds, windows)
    voices = VoicePlan(audio_embeds, Size(*start_image.shape[1:3]), Size(size.height_px, size.width_px))
    voice_notes = voices.notes(planned)
    plan = RunPlan(
        embeds=audio_embeds,
        voices=voices,
        picture_HWC=picture_HWC,
        size=size,
        windows=planned,
        schedule=schedule,
        guidance=guidance,
        seed=widgets.seed,
        notes=(*size_notes, *picture_notes, *voice_notes, *window_notes, *schedule_notes),
    )
    if widgets.form is OutputForm.LATENT and len(plan.windows) > 1:
        raise InputError(
            f"output: 'latent' holds one window, but {audio_embeds.video_frames} frames take "
            f"{len(plan.windows)} "
            "windows, each of which continues from decoded frames. Choose 'video', or shorten the audio to "
            f"{windows.window_frames} frames."
        )
    return plan


def size_of(widgets: SamplerWidgets, start_image: object) -> tuple[FrameSize, tuple[str, ...]]:
    """The video's size: the widgets' own, or the trained size nearest to the picture's shape."""
    resolution: Resolution | None = next((name for name in SIZES if name == widgets.size), None)
    if resolution is None:
        return checked_size(widgets.height, widgets.width)
    picture_HWC, _ = checked_picture(start_image)
    return FrameSize(*bucket_for(picture_HWC.shape[0], picture_HWC.shape[1], resolution)), ()
