"""A run whose windows are kept: the sampler's work from the plan to the finished file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import comfy.model_management

from ...multitalk.dubbing import DubSource
from ...multitalk.fingerprint import fingerprint, fingerprint_file
from ...multitalk.output_format import MP4_H264, OutputFormat
from ...multitalk.pausing import Pausing, paused_text
from ...multitalk.run_card import Resume, RunCard, VideoForm
from ...multitalk.run_folder import RunPlace
from ...multitalk.run_keys import run_key, window_keys
from ...multitalk.run_store import RunStore
from ...multitalk.types import FPS
from ...multitalk.video_settings import VideoSettings
from ...multitalk.window_seeds import WindowSeeds
from ...multitalk.windows import Window
from .identity import model_identity, outline, sight_identity, vae_identity, weights_identity
from .patcher import TalkAttachment, attachment_of
from .progress import show_on_node
from .review import REVIEWS
from .run import RunPlan, check_cast, lora_warnings, play, tell_notes
from .run_teller import RunTeller
from .studio import Cast

OF_THE_WHOLE_RUN = {"embeds", "voices", "windows", "notes", "reference", "dub", "window_seeds"}
"""Of a plan: what depends on its length or is told by itself; all other fields shape every window."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the video goes, and what is done with windows that are finished.

    Attributes:
        place: where the files go.
        resume: what to do with finished windows.
        metadata: written into the video.
        pause_after: pause behind every so many windows; 0 for never.
        output: the form in which the video is written.
        outlook: for the manifest, what was found before weights loaded.
    """

    place: RunPlace
    resume: Resume
    metadata: Mapping[str, str]
    pause_after: int = 0
    output: OutputFormat = MP4_H264
    outlook: Mapping[str, str] = field(default_factory=dict[str, str])


def saved_run(plan: RunPlan, cast: Cast, wish: Wish) -> dict[str, Any]:
    """Make the video, or what is left to make of it; the LATENT dict of a run whose video is in a file.

    Raises:
        InputError: a model, VAE or speech that does not fit the others.
        RunStoreError: the output folder cannot be used; what was finished is kept.
    """
    check_cast(plan, cast)
    card = card_of(plan, cast, wish.output)
    card = replace(card, settings={**card.settings, **wish.outlook})
    form = VideoForm(
        plan.size.height_px, plan.size.width_px, plan.embeds.sound, wish.metadata, output=wish.output
    )
    told = RunTeller(plan.windows)
    store = RunStore(
        wish.place,
        card,
        form,
        wish.resume,
        say=show_on_node,
        waiting=wait_for_lock,
        written=told.window_written,
    )
    store.review = wish.pause_after
    with told.ending(store), store:
        paused = False
        if wish.resume is not Resume.ONLY_FINISHED and store.first < len(plan.windows):
            paused = play_reviewed(plan, cast, store, Pausing(wish.pause_after))
        else:
            tell_notes((*lora_warnings(cast), *plan.notes))
        unfinished = paused or wish.resume is Resume.ONLY_FINISHED
        path = store.keep_finished() if unfinished else store.finish()
    if not paused:
        REVIEWS.note_result(path)
        return saved_result(plan, path, store)
    REVIEWS.note_pause()
    note = paused_text(len(store.stats), len(plan.windows))
    show_on_node(note)
    return {**saved_result(plan, path, store), "note": note}


def play_reviewed(plan: RunPlan, cast: Cast, store: RunStore, pausing: Pausing) -> bool:
    """Run windows until all are made or the run pauses, which the user may ask for; whether it paused."""
    with REVIEWS.running(str(store.folder), len(plan.windows), pausing):
        return play(plan, cast, store, pausing).paused


def saved_result(plan: RunPlan, path: Path, store: RunStore) -> dict[str, Any]:
    """The LATENT dict of a run whose video is in a file."""
    return {
        "video": {
            "path": str(path),
            "frames": store.frames,
            "fps": float(FPS),
            "width": plan.size.width_px,
            "height": plan.size.height_px,
            "seconds": store.frames / FPS,
        },
        "output_path": str(path),
        "run_folder": str(store.folder),
        "windows": [{"index": index, **asdict(stats)} for index, stats in enumerate(store.stats)],
    }


def card_of(plan: RunPlan, cast: Cast, output: OutputFormat = MP4_H264) -> RunCard:
    """Which run it is."""
    attachment = attachment_of(cast.model)
    own = {field.name: getattr(plan, field.name) for field in fields(plan)}
    shared = (
        {name: value for name, value in own.items() if name not in OF_THE_WHOLE_RUN},
        plan.reference if plan.dub is None else source_identity(plan.dub.source),
        *settings_identity(output),
        *models_of(cast, attachment),
        conditioning_identity(cast.negative),
    )
    own_of = WindowIdentity(cast, plan.window_seeds)
    keys = window_keys(shared, own_of, plan.windows, plan.embeds, plan.look.blend_frames)
    return RunCard(run_key(keys, plan.embeds), keys, plan.windows, settings_of(plan, attachment))


def settings_identity(output: OutputFormat) -> tuple[Any, ...]:
    """What stands for the form of the video; runs of the first form are known by its settings alone."""
    return (VideoSettings(),) if output is MP4_H264 else (VideoSettings(), output.name)


def models_of(cast: Cast, attachment: TalkAttachment) -> tuple[str, ...]:
    """What stands for the weights.

    The attention backend enters as it was asked for: which one `auto` takes is measured anew in every
    process, and a run should not begin again for that.
    """
    return (
        model_identity(cast.model),
        weights_identity(attachment.talk),
        attachment.mode,
        attachment.attention_mode,
        str(attachment.compile_blocks),
        str(attachment.step_cache),
        vae_identity(cast.vae),
        sight_identity(cast.see),
    )


class WindowIdentity:
    """What stands for a window's own prompt and seed; a prompt that stays the same is read once."""

    def __init__(self, cast: Cast, window_seeds: WindowSeeds) -> None:
        self._cast = cast
        self._window_seeds = window_seeds
        self._prompt: Any = None
        self._identity = ""

    def __call__(self, window: Window) -> str | tuple[str, int]:
        """The fingerprint of the prompt that a window is sampled with, and its seed if it is its own."""
        prompt_identity, seed = self._of_prompt(window), self._window_seeds.of(window.index)
        return prompt_identity if seed is None else (prompt_identity, seed)

    def _of_prompt(self, window: Window) -> str:
        prompt = self._cast.prompt(window)
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
    rest = [getattr(source, field.name) for field in fields(source) if field.name != "video"]
    return fingerprint(content, rest)


def settings_of(plan: RunPlan, attachment: TalkAttachment) -> dict[str, str]:
    """The run as people read it, for the manifest."""
    return {
        "video": f"{plan.embeds.video_frames} frames, {plan.size.width_px}x{plan.size.height_px}",
        "mode": attachment.mode,
        "attention": attachment.attention_mode,
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
