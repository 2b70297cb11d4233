"""A run whose windows are kept: the sampler's work from the plan to the finished file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import comfy.model_management
from comfy.model_patcher import ModelPatcher

from ....attention.plain_text import name_of_dtype
from ....multitalk.common.fingerprint import fingerprint, fingerprint_file
from ....multitalk.common.types import FPS
from ....multitalk.dubbing.clip import DubSource
from ....multitalk.media.output_format import MP4_H264, OutputFormat
from ....multitalk.media.stream_codecs import VideoSettings
from ....multitalk.runs.folder import RunPlace
from ....multitalk.runs.identity import Resume, RunIdentity, VideoForm
from ....multitalk.runs.keys import run_key, window_keys
from ....multitalk.runs.pausing import Pausing, paused_text
from ....multitalk.runs.store import RunStore
from ....multitalk.windows.plan import Window
from ..compat.precision import computed_in
from ..model.patcher import AudioAttachment, attachment_of
from ..report.progress import show_on_node
from ..report.run_events import RunEventSender
from ..sampling.comfy_backend import RunModels
from .identity import model_identity, outline, sight_identity, vae_identity, weights_identity
from .review import REVIEWS
from .windowed_run import RunPlan, check_models, model_warnings, run_windows, tell_notes

OF_THE_WHOLE_RUN = {
    "embeds",
    "voices",
    "windows",
    "notes",
    "reference",
    "dub",
    "window_seeds",
    "end_HWC",
    "paste",
}
"""Of a plan: what depends on its length or is told by itself; all other fields shape every window."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Where the video goes, and what is done with windows that are finished.

    Attributes:
        place: where the files go.
        resume: what to do with finished windows.
        metadata: written into the video.
        pause_after: pause after every so many windows; 0 for never.
        output: the form in which the video is written.
        preflight_figures: for the manifest, what was found before weights loaded.
    """

    place: RunPlace
    resume: Resume
    metadata: Mapping[str, str]
    pause_after: int = 0
    output: OutputFormat = MP4_H264
    preflight_figures: Mapping[str, str] = field(default_factory=dict[str, str])


def saved_run(plan: RunPlan, run_models: RunModels, output_options: OutputOptions) -> dict[str, Any]:
    """Make the video, or what is left to make of it; the LATENT dict of a run whose video is in a file.

    Raises:
        InputError: a model, VAE or speech that does not fit the others.
        RunStoreError: the output folder cannot be used; what was finished is kept.
    """
    check_models(plan, run_models)
    card = identity_of(plan, run_models, output_options.output)
    card = replace(card, settings={**card.settings, **output_options.preflight_figures})
    form = VideoForm(
        plan.size.height_px,
        plan.size.width_px,
        plan.embeds.sound,
        output_options.metadata,
        VideoSettings() if plan.paste is None else VideoSettings(plan.paste.fps),
        output_options.output,
        plan.paste,
    )
    told = RunEventSender(plan.windows)
    store = RunStore(
        output_options.place,
        card,
        form,
        output_options.resume,
        say=show_on_node,
        waiting=wait_for_lock,
        written=told.window_written,
    )
    store.review = output_options.pause_after
    with told.ending(store), store:
        paused = False
        if output_options.resume is not Resume.ONLY_FINISHED and store.first < len(plan.windows):
            paused = run_windows_with_pauses(plan, run_models, store, Pausing(output_options.pause_after))
        else:
            tell_notes((*model_warnings(run_models), *plan.notes))
        unfinished = paused or output_options.resume is Resume.ONLY_FINISHED
        path = store.keep_finished() if unfinished else store.finish()
    if plan.paste is not None and plan.paste.pasted:
        show_on_node(plan.paste.report())
    if not paused:
        REVIEWS.note_result(path)
        return saved_result(plan, path, store)
    REVIEWS.note_pause()
    note = paused_text(len(store.stats), len(plan.windows))
    show_on_node(note)
    return {**saved_result(plan, path, store), "note": note}


def run_windows_with_pauses(plan: RunPlan, run_models: RunModels, store: RunStore, pausing: Pausing) -> bool:
    """Run windows until all are made or the run pauses, which the user may ask for; whether it paused."""
    with REVIEWS.running(str(store.folder), len(plan.windows), pausing):
        return run_windows(plan, run_models, store, pausing).paused


def saved_result(plan: RunPlan, path: Path, store: RunStore) -> dict[str, Any]:
    """The LATENT dict of a run whose video is in a file."""
    fps = float(FPS) if plan.paste is None else float(plan.paste.fps)
    return {
        "video": {
            "path": str(path),
            "frames": store.frames,
            "fps": fps,
            "width": plan.video_size.width_px,
            "height": plan.video_size.height_px,
            "seconds": store.frames / fps,
        },
        "output_path": str(path),
        "run_folder": str(store.folder),
        "windows": [{"index": index, **asdict(stats)} for index, stats in enumerate(store.stats)],
    }


def identity_of(plan: RunPlan, run_models: RunModels, output: OutputFormat = MP4_H264) -> RunIdentity:
    """Which run it is."""
    attachment = attachment_of(run_models.model)
    own = {field.name: getattr(plan, field.name) for field in fields(plan)}
    shared = (
        {name: value for name, value in own.items() if name not in OF_THE_WHOLE_RUN},
        plan.reference if plan.dub is None else source_identity(plan.dub.source),
        *settings_identity(output),
        *models_of(run_models, attachment),
        conditioning_identity(run_models.negative),
    )
    own_of = WindowIdentity(run_models, plan)
    keys = window_keys(shared, own_of, plan.windows, plan.embeds, plan.look.blend_frames)
    return RunIdentity(
        run_key(keys, plan.embeds), keys, plan.windows, settings_of(plan, attachment, run_models.model)
    )


def settings_identity(output: OutputFormat) -> tuple[Any, ...]:
    """What stands for the form of the video; runs of the first form are known by its settings alone."""
    return (VideoSettings(),) if output is MP4_H264 else (VideoSettings(), output.name)


def models_of(run_models: RunModels, attachment: AudioAttachment) -> tuple[str, ...]:
    """What stands for the weights.

    The attention backend enters as it was asked for: which one `auto` takes is measured again in every
    process, and a run should not begin again for that. The precision enters by what ran, as a patch of the
    MODEL: other numbers come of another.
    """
    return (
        model_identity(run_models.model),
        weights_identity(attachment.talk),
        attachment.mode,
        attachment.attention_mode,
        str(attachment.compile_blocks),
        str(attachment.step_cache),
        *budget_identity(attachment),
        vae_identity(run_models.vae),
        sight_identity(run_models.see),
    )


def budget_identity(attachment: AudioAttachment) -> tuple[str, ...]:
    """What stands for sparse attention; exact runs are known without a word of it."""
    percent = attachment.attention_budget
    return (f"attention_budget {percent:g} %",) if percent else ()


class WindowIdentity:
    """What stands for a window's own prompt, seed and end; a prompt that stays the same is read once."""

    def __init__(self, run_models: RunModels, plan: RunPlan) -> None:
        self._run_models = run_models
        self._plan = plan
        self._prompt: Any = None
        self._identity = ""

    def __call__(self, window: Window) -> Any:
        """The fingerprint of the prompt that a window is sampled with, its seed if it is its own, its end."""
        prompt_identity, seed = self._of_prompt(window), self._plan.window_seeds.of(window.index)
        ending = self._plan.ending(window)
        own = prompt_identity if seed is None else (prompt_identity, seed)
        if self._plan.paste is not None and window is self._plan.windows[-1]:
            own = (own, "the end of the clip")  # frames behind the last made one are the last window's
        return own if ending is None else (own, ending)

    def _of_prompt(self, window: Window) -> str:
        prompt = self._run_models.prompt(window)
        if prompt is not self._prompt:
            self._prompt, self._identity = prompt, conditioning_identity(prompt)
        return self._identity


def conditioning_identity(conditioning: Any) -> str:
    """What stands for a CONDITIONING: its tensors whole, its objects by name."""
    entries = [(tensor, outline(values)) for tensor, values in conditioning or ()]
    return fingerprint(entries)


def source_identity(source: DubSource) -> str:
    """What stands for a clip: its bytes, wherever it lies, and what is done with it."""
    video = source.video.video
    content = fingerprint(video) if isinstance(video, bytes) else fingerprint_file(Path(video))
    rest = [getattr(source, field.name) for field in fields(source) if field.name not in ("video", "work")]
    # Clips that are made to talk as a whole are known by what they always were.
    return (
        fingerprint(content, rest)
        if source.work is None
        else fingerprint(content, rest, source.work.identity)
    )


def settings_of(plan: RunPlan, attachment: AudioAttachment, model: ModelPatcher) -> dict[str, str]:
    """The run as people read it, for the manifest."""
    return {
        "video": f"{plan.embeds.video_frames} frames, {plan.size.width_px}x{plan.size.height_px}",
        "mode": attachment.mode,
        "attention": attachment.attention_mode,
        **({"attention budget": f"{attachment.attention_budget:g} %"} if attachment.attention_budget else {}),
        "compute": f"{name_of_dtype(computed_in(model))} (asked: {attachment.compute})",
        "audio weights": attachment.talk_name,
        "step cache": str(attachment.step_cache),
        "windows": f"{plan.windows[0].frames} frames, {len(plan.windows)} of them",
        "schedule": str(plan.schedule),
        "guidance": str(plan.guidance),
        "look": str(plan.look),
        "seed": f"{plan.seed} ({plan.window_seeds})" if plan.window_seeds.seeds else str(plan.seed),
    }


def wait_for_lock(left_s: float) -> None:
    """Says that another machine's lock is being watched; stops when the user interrupts."""
    comfy.model_management.throw_exception_if_processing_interrupted()
    show_on_node(f"the run's folder is locked by another machine; if it stays silent, {left_s:.0f} s more")
