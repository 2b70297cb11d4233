"""The plan of a run: what was asked for, checked and decided once, before any weights are touched."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

import torch

from ....multitalk.common.errors import InputError
from ....multitalk.common.size_buckets import Size
from ....multitalk.dubbing.clip import DubSource
from ....multitalk.dubbing.paste import Paster
from ....multitalk.media.output_format import OutputFormat
from ....multitalk.model.guidance import GuidanceSettings
from ....multitalk.runs.manifest import check_window_count
from ....multitalk.speech.embeds import AudioEmbeds
from ....multitalk.windows import flashtalk, skyreels
from ....multitalk.windows.ending import Ending, ending_notes, ending_of
from ....multitalk.windows.finish import LookSettings
from ....multitalk.windows.plan import FIRST_CLIP, Window
from ....multitalk.windows.prompt_timeline import PromptTimeline, unused_cues
from ....multitalk.windows.references import Reference
from ....multitalk.windows.schedule_windows import whole_model_under, windows_under
from ....multitalk.windows.seeds import WindowSeeds
from ....multitalk.windows.settings import FrameSize, NoiseSchedule, is_flashtalk, is_skyreels
from ....multitalk.windows.voices import VoicePlan
from .options import RunOptions
from .request import OutputForm, RunSettings, SamplerWidgets, checked_settings
from .window_pictures import fit_picture, run_pictures

SHAPES = "shapes"
"""Names the mark of a field of RunPlan."""


class Shapes(Enum):
    """What a field of a plan shapes: every window, or the run as a whole (and each window by itself)."""

    EVERY_WINDOW = "every window"
    WHOLE_RUN = "whole run"


EVERY_WINDOW = {SHAPES: Shapes.EVERY_WINDOW}
WHOLE_RUN = {SHAPES: Shapes.WHOLE_RUN}


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run was asked to do. A field marked EVERY_WINDOW enters the key of each window by its name.

    Attributes:
        embeds: the speech.
        voices: who is heard in a window, and where they are.
        picture_HWC: the first picture of the run, at the video's size.
        reference: each window's picture; None where the source gives them.
        size: of the video.
        windows: the windows.
        schedule: noise levels and sampler.
        guidance: text and audio scales.
        seed: of all noise.
        notes: what was changed on the way, a sentence each.
        look: colour, joins and camera.
        source: the clip that is dubbed, opened when the run starts, or None.
        window_seeds: windows with a seed of their own.
        end_HWC: the picture that the video ends on, at its size, or None.
        first_clip: the clip whose stills windows end on, or None.
        paste: puts windows back into the clip whose region they show; None: windows are the video.
    """

    embeds: AudioEmbeds = field(metadata=WHOLE_RUN)
    voices: VoicePlan = field(metadata=WHOLE_RUN)
    picture_HWC: torch.Tensor = field(metadata=EVERY_WINDOW)
    reference: Reference | None = field(metadata=WHOLE_RUN)
    size: FrameSize = field(metadata=EVERY_WINDOW)
    windows: tuple[Window, ...] = field(metadata=WHOLE_RUN)
    schedule: NoiseSchedule = field(metadata=EVERY_WINDOW)
    guidance: GuidanceSettings = field(metadata=EVERY_WINDOW)
    seed: int = field(metadata=EVERY_WINDOW)
    notes: tuple[str, ...] = field(metadata=WHOLE_RUN)
    look: LookSettings = field(metadata=EVERY_WINDOW)
    source: DubSource | None = field(default=None, metadata=WHOLE_RUN)
    window_seeds: WindowSeeds = field(default_factory=WindowSeeds, metadata=WHOLE_RUN)
    end_HWC: torch.Tensor | None = field(default=None, metadata=WHOLE_RUN)
    first_clip: skyreels.FirstClip | None = field(default=None, metadata=WHOLE_RUN)
    paste: Paster | None = field(default=None, metadata=WHOLE_RUN)

    @property
    def video_size(self) -> FrameSize:
        """Of the finished video."""
        return self.size if self.paste is None else self.paste.size

    @property
    def of_every_window(self) -> Mapping[str, Any]:
        """The fields that shape every window, by name."""
        marked = (one for one in fields(self) if one.metadata[SHAPES] is Shapes.EVERY_WINDOW)
        return {one.name: getattr(self, one.name) for one in marked}

    @property
    def picture_changes(self) -> bool:
        """Whether a later window is shown another picture than the first."""
        later, reference = self.windows[1:], self.reference
        if reference is None:
            return bool(later)
        return any(reference(window) is not self.picture_HWC for window in later)

    def is_clip(self, window: Window) -> bool:
        """Whether a window is SkyReels' first clip, which is all there is of speech shorter than a window."""
        is_alone = is_skyreels(self.schedule.scheduler) and self.first_clip is None
        return is_alone or window.index == FIRST_CLIP

    def ending(self, window: Window) -> Ending | None:
        """What a window ends on: the last one on the picture that the video ends on."""
        if self.end_HWC is None or window is not self.windows[-1]:
            return None
        return ending_of(window, self.end_HWC)


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """All that a plan is made of.

    Attributes:
        widgets: the sampler's widgets.
        audio_embeds: the speech; None while it is not encoded yet.
        start_image: the picture.
        options: the optional sockets.
        has_negative: whether a negative prompt is connected.
    """

    widgets: SamplerWidgets
    audio_embeds: object
    start_image: object
    options: RunOptions = field(default_factory=RunOptions)
    has_negative: bool = False

    def has_same_settings(self, other: "PlanInputs") -> bool:
        """Whether another asks for the same settings with the same objects."""
        return (
            (self.widgets, self.has_negative) == (other.widgets, other.has_negative)
            and self.start_image is other.start_image
            and self.options.has_same_settings(other.options)
        )

    def is_same(self, other: "PlanInputs") -> bool:
        """Whether another asks for the same plan with the same objects."""
        return (
            self.has_same_settings(other)
            and self.audio_embeds is other.audio_embeds
            and self.options.schedule is other.options.schedule
        )

    def settings(self) -> RunSettings:
        """What the widgets and the start picture say; see checked_settings."""
        return checked_settings(self.widgets, self.start_image, self.options, has_negative=self.has_negative)


def plan_run(inputs: PlanInputs, settings: RunSettings | None = None) -> RunPlan:
    """Check everything that can be checked without weights, and plan the run.

    Args:
        inputs: what it is made of.
        settings: of these inputs, where they have been checked already.

    Raises:
        InputError: names the socket or widget, what came, what was expected and what to do.
    """
    settings = settings or inputs.settings()
    widgets, options, embeds = inputs.widgets, inputs.options, inputs.audio_embeds
    if not isinstance(embeds, AudioEmbeds):
        raise InputError(
            f"audio_embeds: {type(embeds).__name__}, expected encoded speech. Connect EverTalk Audio Embeds."
        )
    flash, whole_model = is_flashtalk(widgets.scheduler), whole_model_under(widgets.scheduler)
    if whole_model is not None:
        whole_model.check_speakers(embeds)
    if options.source is not None and options.source.work is not None:
        check_one_voice(embeds)
    cues, size, shape = options.schedule or PromptTimeline(), settings.size, settings.picture
    pictures = run_pictures(shape, options.source, cues, settings.look, size, embeds.video_frames)
    cuts = () if options.source is None else options.source.cuts
    flashtalk.check_live_windows(embeds.live, settings.windows, leads=flash, cuts=bool(cuts))
    windows = windows_under(widgets.scheduler, embeds.video_frames, settings.windows, cuts)
    check_window_count(len(windows))
    first_clip = clip_of(widgets.scheduler, windows, embeds.video_frames)
    settings.window_seeds.check_count(len(windows))
    check_output(widgets.form, settings, embeds.video_frames, len(windows))
    paste = None if options.source is None else options.source.paster(size, embeds.video_frames)
    voices = VoicePlan(embeds, Size(*shape.pixels_HWC.shape[:2]), Size(size.height_px, size.width_px))
    return RunPlan(
        embeds=embeds,
        voices=voices,
        picture_HWC=(
            fit_picture(shape.pixels_HWC, size)
            if pictures.reference is None
            else pictures.reference(windows[0])
        ),
        reference=pictures.reference,
        size=size,
        windows=windows,
        schedule=settings.schedule,
        guidance=settings.guidance,
        seed=widgets.seed,
        notes=(
            *(*pictures.notes, *settings.notes, *voices.notes(windows)),
            *schedule_notes(cues, windows),
            *clip_alone_notes(cues, first_clip, widgets.scheduler),
            *(() if pictures.end_HWC is None else ending_notes(windows[-1])),
            *moving_places_notes(embeds, settings.look),
            *frame_times_notes(paste, widgets.written_as),
        ),
        look=settings.look,
        source=options.source,
        window_seeds=settings.window_seeds,
        end_HWC=pictures.end_HWC,
        first_clip=first_clip,
        paste=paste,
    )


def clip_of(scheduler: str, windows: tuple[Window, ...], video_frames: int) -> skyreels.FirstClip | None:
    """The clip whose stills windows end on, under the schedule that has one."""
    return skyreels.first_clip_of(windows, video_frames) if is_skyreels(scheduler) else None


def check_one_voice(embeds: AudioEmbeds) -> None:
    """Refuse several speakers where one region talks.

    Raises:
        InputError: says how two people get their voices.
    """
    if len(embeds.tracks_NLC) > 1:
        raise InputError(
            f"audio_embeds: {len(embeds.tracks_NLC)} speakers, but source works on one region, which has one "
            "voice. Give one person after the other their voice: the finished video is the next one's clip."
        )


def check_output(form: OutputForm, settings: RunSettings, video_frames: int, windows: int) -> None:
    """Refuse raw latents of more than one window.

    Raises:
        InputError: names the frames and windows.
    """
    if form is OutputForm.LATENT and windows > 1:
        raise InputError(
            f"output: 'latent' holds one window, but {video_frames} frames take {windows} windows, each of "
            "which continues from decoded frames. Choose 'video', or shorten the audio to "
            f"{settings.windows.window_frames} frames."
        )


def schedule_notes(cues: PromptTimeline, windows: tuple[Window, ...]) -> tuple[str, ...]:
    """Says what of a schedule is not used, and that the start picture is not shown."""
    note = "schedule: its pictures take the place of start_image, which decides the size alone"
    return (
        *unused_cues("prompt", cues.prompts, windows),
        *unused_cues("picture", cues.pictures, windows),
        *((note,) if cues.pictures else ()),
    )


def clip_alone_notes(
    cues: PromptTimeline, clip: skyreels.FirstClip | None, scheduler: str
) -> tuple[str, ...]:
    """Says that a schedule's prompts are not those of a clip that is all of the video."""
    if not is_skyreels(scheduler) or clip is not None or not cues.prompts:
        return ()
    note = (
        "schedule: its prompts are not used: speech that is shorter than a window is SkyReels' first clip "
        "alone, whose prompt is positive"
    )
    return (note,)


def moving_places_notes(embeds: AudioEmbeds, look: LookSettings) -> tuple[str, ...]:
    """Says that several speakers' places do not follow the camera."""
    if len(embeds.tracks_NLC) == 1 or look.camera.is_still:
        return ()
    return (
        "look: the camera moves, but the speakers' places stay where they are in the video. Keep the move "
        "small, or their places wide",
    )


def frame_times_notes(paste: Paster | None, output: OutputFormat) -> tuple[str, ...]:
    """Says that pictures do not tell when the frames of a clip of variable rate are shown."""
    if paste is None or paste.clock is None or output.keeps_times:
        return ()
    note = (
        f"format: {output.name} tells no times, but the clip shows its frames at times of their own, so that "
        "pictures at a steady rate run away from the sound. Choose mp4 or mkv to keep the times"
    )
    return (note,)


class Planner:
    """Checks and plans a run once, though the host asks again and again until all sockets have values.

    It remembers the last settings and the last plan until the plan is taken, and no longer: they hold
    pictures.
    """

    def __init__(self) -> None:
        self._settings: tuple[PlanInputs, RunSettings] | None = None
        self._plan: tuple[PlanInputs, RunPlan] | None = None

    def check(self, inputs: PlanInputs) -> RunSettings:
        """Check everything that can be checked before the speech is encoded.

        Raises:
            InputError: see checked_settings.
        """
        if self._settings is None or not self._settings[0].has_same_settings(inputs):
            self._settings = self._plan = None
            self._settings = (inputs, inputs.settings())
        return self._settings[1]

    def plan(self, inputs: PlanInputs) -> RunPlan:
        """Check everything that can be checked without weights.

        Raises:
            InputError: see plan_run.
        """
        settings = self.check(inputs)
        if self._plan is None or not self._plan[0].is_same(inputs):
            self._plan = None
            self._plan = (inputs, plan_run(inputs, settings))
        return self._plan[1]

    def take(self, inputs: PlanInputs) -> RunPlan:
        """The plan to run; it is forgotten here."""
        plan = self.plan(inputs)
        self._settings = self._plan = None
        return plan


PLANNER = Planner()
"""Of this server: it runs one node at a time."""
