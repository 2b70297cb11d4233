"""The sampler's widgets as one value, and what they and the start picture say, checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, NamedTuple

from ....multitalk.common.errors import InputError
from ....multitalk.common.size_buckets import Resolution, bucket_for
from ....multitalk.media.output_format import MP4_H264, OutputFormat, offered_formats
from ....multitalk.model.guidance import GuidanceSettings
from ....multitalk.runs.identity import Resume
from ....multitalk.windows import flashtalk, skyreels
from ....multitalk.windows.finish import LookSettings, look_for_windows
from ....multitalk.windows.schedule_windows import dropped_under
from ....multitalk.windows.seeds import WindowSeeds, parse_window_seeds
from ....multitalk.windows.settings import (
    FrameSize,
    NoiseSchedule,
    WindowSettings,
    checked_schedule,
    checked_size,
    checked_windows,
    is_flashtalk,
    is_skyreels,
)
from ....multitalk.windows.whole_model import WholeModel
from .options import RunOptions
from .video_file import check_prefix
from .window_pictures import FirstPicture, first_picture

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

    def needs_positive(self, options: RunOptions) -> bool:
        """Whether a window has the sampler's own prompt, as SkyReels' first clip always does."""
        return is_skyreels(self.scheduler) or not options.has_prompts

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
        picture: the one that decides the shape: the start picture, or the clip's first frame.
        notes: what was changed on the way, a sentence each.
        window_seeds: windows with a seed of their own.
    """

    windows: WindowSettings
    schedule: NoiseSchedule
    guidance: GuidanceSettings
    size: FrameSize
    look: LookSettings
    picture: FirstPicture
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
    wanted = wanted_of_whole_model(flashtalk.MODEL, widgets, options, has_negative=has_negative)
    return wanted._replace(notes=(*flashtalk.MODEL.window_notes(windows), *wanted.notes))


def wanted_of_skyreels(
    widgets: SamplerWidgets, options: RunOptions, windows: WindowSettings, *, has_negative: bool
) -> Wanted:
    """No guidance, and colours matched.

    Raises:
        InputError: a negative prompt, guidance, raw latents or a clip, of which these weights make nothing;
            windows with no room for the frames that they let go.
    """
    skyreels.check_windows(windows)
    if options.source is not None:
        raise InputError(
            f"source: a clip is connected, but with scheduler {widgets.scheduler} windows end on stills of "
            "a clip that is made of one picture. Disconnect source and connect start_image, or use "
            "InfiniteTalk weights."
        )
    wanted = wanted_of_whole_model(skyreels.MODEL, widgets, options, has_negative=has_negative)
    return wanted._replace(notes=(*skyreels.MODEL.window_notes(windows), *wanted.notes))


def wanted_of_whole_model(
    model: WholeModel, widgets: SamplerWidgets, options: RunOptions, *, has_negative: bool
) -> Wanted:
    """What depends on a model with one unguided voice. Raises as wanted_of_flashtalk."""
    model.check_sockets(negative=has_negative, guidance=options.guidance is not None)
    if widgets.form is OutputForm.LATENT:
        raise InputError(
            f"output: 'latent', but scheduler {widgets.scheduler} drops frames of windows and matches "
            "colours, which is done to decoded frames. Choose 'video'."
        )
    guidance, guidance_notes = model.unguided(widgets.guidance)
    look, look_notes = model.look_of(options.look)
    return Wanted(guidance, look, (*guidance_notes, *look_notes))


def asked_of(scheduler: str) -> Callable[..., Wanted]:
    """What reads the settings that depend on whose schedule it is."""
    if is_skyreels(scheduler):
        return wanted_of_skyreels
    return wanted_of_flashtalk if is_flashtalk(scheduler) else wanted_of_weights


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
    wanted = asked_of(widgets.scheduler)(widgets, options, windows, has_negative=has_negative)
    guidance = wanted.guidance
    if guidance.text_scale != 1 and not has_negative:
        raise InputError(
            f"negative: nothing is connected, but text_scale {guidance.text_scale:g} compares the prompt "
            "with a negative one. Connect a negative prompt, or set text_scale to 1."
        )
    picture = first_picture(start_image, options.source)
    shape_HW = (picture.pixels_HWC.shape[0], picture.pixels_HWC.shape[1])
    sized = video_size(widgets.size, widgets.height, widgets.width, shape_HW)
    assert sized is not None, "all that it depends on is here"
    size, size_notes = sized
    work = None if options.source is None else options.source.work
    if widgets.form is OutputForm.VIDEO:
        check_side(widgets.written_as, size if work is None else work.clip)
    elif work is not None:
        raise InputError(
            "output: 'latent', but source works on a region, which goes back into the clip's frames. Choose "
            "'video', or set work_on to 'whole picture'."
        )
    look, look_notes = look_for_windows(wanted.look, windows, dropped_under(widgets.scheduler))
    window_seeds, seed_notes = parse_window_seeds(widgets.window_seeds, widgets.seed)
    notes = (*size_notes, *picture.notes, *window_notes, *schedule_notes, *wanted.notes, *look_notes)
    return RunSettings(
        windows,
        schedule,
        guidance,
        size,
        look,
        picture,
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


def video_size(
    size: object, height: object, width: object, picture: tuple[int, int] | None
) -> tuple[FrameSize, tuple[str, ...]] | None:
    """The video's size and what was changed for it; None where what it depends on is not known yet.

    Args:
        size: the widget: one of SIZES, the trained size nearest to the picture's shape, or CUSTOM_SIZE.
        height: the widget, used by CUSTOM_SIZE.
        width: likewise.
        picture: height and width of the picture that decides the shape; None: not known.

    Raises:
        InputError: a custom size that no video can have.
    """
    if size == CUSTOM_SIZE:
        return checked_size(height, width) if isinstance(height, int) and isinstance(width, int) else None
    resolution: Resolution | None = next((name for name in SIZES if name == size), None)
    return (FrameSize(*bucket_for(*picture, resolution)), ()) if resolution and picture else None
