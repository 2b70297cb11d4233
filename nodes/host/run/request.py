"""The sampler's widgets as one value, and the plan they make with the sockets that hold no weights."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, NamedTuple

import torch

from ....multitalk.common.errors import InputError
from ....multitalk.common.size_buckets import Resolution, Size, bucket_for
from ....multitalk.common.types import AudioEmbeds
from ....multitalk.media.output_format import MP4_H264, OutputFormat, offered_formats
from ....multitalk.model.guidance import GuidanceSettings
from ....multitalk.runs.identity import Resume
from ....multitalk.runs.manifest import check_window_count
from ....multitalk.windows import flashtalk
from ....multitalk.windows.ending import ending_notes
from ....multitalk.windows.finish import LookSettings, look_for_windows
from ....multitalk.windows.picture import checked_picture
from ....multitalk.windows.prompt_timeline import PromptTimeline, unused_cues
from ....multitalk.windows.seeds import WindowSeeds, parse_window_seeds
from ....multitalk.windows.settings import (
    FrameSize,
    NoiseSchedule,
    WindowSettings,
    checked_schedule,
    checked_size,
    checked_windows,
    is_flashtalk,
)
from ....multitalk.windows.voices import VoicePlan
from .options import RunOptions
from .video_file import check_prefix
from .window_pictures import first_picture, picture_notes, run_pictures
from .windowed_run import RunPlan, windows_of

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
    resume: str = Resume.AUTO.value
    window_seeds: str = ""
    pause_after: int = 0
    format: str = MP4_H264.name

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> "SamplerWidgets":
        """Pick the widgets out of what the host hands a node."""
        return cls(**{field.name: inputs[field.name] for field in fields(cls) if field.name in inputs})

    @property
    def guidance(self) -> GuidanceSettings:
        """Text and audio scales."""
        return GuidanceSettings(self.text_scale, self.audio_scale)

    @property
    def written_as(self) -> OutputFormat:
        """How the video is written."""
        return offered_formats()[self.format]

    @property
    def form(self) -> OutputForm:
        """What the output is to hold."""
        return OutputForm(self.output)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the widgets and the start picture say, checked.

    Attributes:
        windows: how the video is cut.
        schedule: noise levels and sampler.
        guidance: text and audio scales.
        size: of the video.
        look: colour, joins and camera.
        picture_BHWC: the IMAGE that decides the shape: the start picture, or the clip's first frame.
        notes: what was changed on the way, a sentence each.
        window_seeds: windows with a seed of their own.
    """

    windows: WindowSettings
    schedule: NoiseSchedule
    guidance: GuidanceSettings
    size: FrameSize
    look: LookSettings
    picture_BHWC: torch.Tensor
    notes: tuple[str, ...]
    window_seeds: WindowSeeds


class Wanted(NamedTuple):
    """What depends on whose schedule it is: guidance, look, and sentences on what was made of them."""

    guidance: GuidanceSettings
    look: LookSettings
    notes: tuple[str, ...]


def wanted_of_weights(
    widgets: SamplerWidgets, options: RunOptions, windows: WindowSettings, *, has_negative: bool
) -> Wanted:
    """Guidance and look as they were asked for."""
    del windows, has_negative
    guidance, notes = options.guidance_instead_of(widgets.guidance)
    return Wanted(guidance, options.look or LookSettings(), notes)


def wanted_of_flashtalk(
    widgets: SamplerWidgets, options: RunOptions, windows: WindowSettings, *, has_negative: bool
) -> Wanted:
    """No guidance, and colours matched.

    Raises:
        InputError: a negative prompt, guidance, or raw latents, of which these weights make nothing.
    """
    flashtalk.check_sockets(negative=has_negative, guidance=options.guidance is not None)
    if widgets.form is OutputForm.LATENT:
        raise InputError(
            f"output: 'latent', but scheduler {widgets.scheduler} drops the first frames of every window and "
            "matches colours, which is done to decoded frames. Choose 'video'."
        )
    guidance, guidance_notes = flashtalk.unguided(widgets.guidance)
    look, look_notes = flashtalk.look_of(options.look)
    return Wanted(guidance, look, (*flashtalk.window_notes(windows), *guidance_notes, *look_notes))


def checked_settings(
    widgets: SamplerWidgets, start_image: object, options: RunOptions | None = None, *, has_negative: bool
) -> RunSettings:
    """Check everything that can be checked before the speech is encoded.

    Raises:
        InputError: names the socket or widget, what came, what was expected and what to do.
    """
    name_notes = check_prefix(widgets.filename_prefix) if widgets.form is OutputForm.VIDEO else ()
    windows, window_notes = checked_windows(WindowSettings(widgets.window_frames, widgets.motion_frames))
    options = options or RunOptions()
    schedule, schedule_notes = checked_schedule(
        NoiseSchedule(widgets.scheduler, widgets.steps, widgets.shift, widgets.sampler_name, options.denoise)
    )
    asked_of = wanted_of_flashtalk if is_flashtalk(widgets.scheduler) else wanted_of_weights
    wanted = asked_of(widgets, options, windows, has_negative=has_negative)
    guidance = wanted.guidance
    if guidance.text_scale != 1 and not has_negative:
        raise InputError(
            f"negative: nothing is connected, but text_scale {guidance.text_scale:g} compares the prompt "
            "with a negative one. Connect a negative prompt, or set text_scale to 1."
        )
    picture_BHWC = first_picture(start_image, options.source)
    size, size_notes = size_of(widgets, picture_BHWC)
    if widgets.form is OutputForm.VIDEO:
        check_side(widgets.written_as, size)
    _, shown_notes = checked_picture(picture_BHWC)
    assert isinstance(picture_BHWC, torch.Tensor), "checked_picture looked at it"
    look, look_notes = look_for_windows(wanted.look, windows)
    shown_notes = (*shown_notes, *picture_notes(start_image, options.source))
    window_seeds, seed_notes = parse_window_seeds(widgets.window_seeds, widgets.seed)
    notes = (*size_notes, *shown_notes, *window_notes, *schedule_notes, *wanted.notes, *look_notes)
    return RunSettings(
        windows,
        schedule,
        guidance,
        size,
        look,
        picture_BHWC,
        (*notes, *seed_notes, *name_notes),
        window_seeds,
    )


def check_side(output: OutputFormat, size: FrameSize) -> None:
    """Refuse a video that is too small for its format's encoder.

    Raises:
        InputError: names both sizes.
    """
    if min(size.height_px, size.width_px) < output.min_side_px:
        raise InputError(
            f"format: {output.name} is written from {output.min_side_px} pixels a side on, and the video has "
            f"{size.width_px}x{size.height_px}. Choose another format, or a larger size."
        )


def plan_run(
    widgets: SamplerWidgets,
    audio_embeds: object,
    start_image: object,
    options: RunOptions | None = None,
    *,
    has_negative: bool,
) -> RunPlan:
    """Check everything that can be checked without weights, and plan the run.

    Raises:
        InputError: names the socket or widget, what came, what was expected and what to do.
    """
    settings = checked_settings(widgets, start_image, options, has_negative=has_negative)
    if not isinstance(audio_embeds, AudioEmbeds):
        raise InputError(
            f"audio_embeds: {type(audio_embeds).__name__}, expected encoded speech. Connect EverTalk Audio "
            "Embeds."
        )
    flash = is_flashtalk(widgets.scheduler)
    if flash:
        flashtalk.check_speakers(audio_embeds)
    options = options or RunOptions()
    cues, size, picture_BHWC = options.schedule or PromptTimeline(), settings.size, settings.picture_BHWC
    video_frames = audio_embeds.video_frames
    pictures = run_pictures(picture_BHWC, options.source, cues, settings.look, size, video_frames)
    flashtalk.check_live_windows(audio_embeds.live, settings.windows, leads=flash, cuts=bool(pictures.cuts))
    windows = windows_of(audio_embeds, settings.windows, pictures.cuts, leads=flash)
    check_window_count(len(windows))
    settings.window_seeds.check_count(len(windows))
    voices = VoicePlan(audio_embeds, Size(*picture_BHWC.shape[1:3]), Size(size.height_px, size.width_px))
    plan = RunPlan(
        embeds=audio_embeds,
        voices=voices,
        picture_HWC=pictures.reference(windows[0]),
        reference=pictures.reference,
        size=size,
        windows=windows,
        schedule=settings.schedule,
        guidance=settings.guidance,
        seed=widgets.seed,
        notes=(
            *(*pictures.notes, *settings.notes, *voices.notes(windows)),
            *unused_cues("prompt", cues.prompts, windows),
            *unused_cues("picture", cues.pictures, windows),
            *replaced_picture_notes(cues),
            *(() if pictures.end_HWC is None else ending_notes(windows[-1])),
            *moving_places_notes(audio_embeds, settings.look),
        ),
        look=settings.look,
        dub=pictures.dub,
        window_seeds=settings.window_seeds,
        end_HWC=pictures.end_HWC,
    )
    if widgets.form is OutputForm.LATENT and len(plan.windows) > 1:
        raise InputError(
            f"output: 'latent' holds one window, but {audio_embeds.video_frames} frames take "
            f"{len(plan.windows)} windows, each of which continues from decoded frames. Choose 'video', or "
            f"shorten the audio to {settings.windows.window_frames} frames."
        )
    return plan


def replaced_picture_notes(cues: PromptTimeline) -> tuple[str, ...]:
    """Says that the start picture is not shown."""
    note = "schedule: its pictures take the place of start_image, which decides the size alone"
    return (note,) if cues.pictures else ()


def moving_places_notes(embeds: AudioEmbeds, look: LookSettings) -> tuple[str, ...]:
    """Says that several speakers' places do not follow the camera."""
    if len(embeds.tracks_NLC) == 1 or look.camera.is_still:
        return ()
    return (
        "look: the camera moves, but the speakers' places stay where they are in the video. Keep the move "
        "small, or their places wide",
    )


def size_of(widgets: SamplerWidgets, start_image: object) -> tuple[FrameSize, tuple[str, ...]]:
    """The video's size: the widgets' own, or the trained size nearest to the picture's shape."""
    resolution: Resolution | None = next((name for name in SIZES if name == widgets.size), None)
    if resolution is None:
        return checked_size(widgets.height, widgets.width)
    picture_HWC, _ = checked_picture(start_image)
    return FrameSize(*bucket_for(picture_HWC.shape[0], picture_HWC.shape[1], resolution)), ()
