"""A run whose windows are kept: the sampler's work from the plan to the finished file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import comfy.model_management

from ...multitalk.dubbing import DubSource
from ...multitalk.fingerprint import fingerprint, fingerprint_file
from ...multitalk.frame_encoder import VideoSettings
from ...multitalk.run_card import Resume, RunCard, VideoForm
from ...multitalk.run_folder import RunPlace
from ...multitalk.run_keys import run_key, window_keys
from ...multitalk.run_store import RunStore
from ...multitalk.types import FPS
from ...multitalk.windows import Window
from .identity import model_identity, outline, sight_identity, vae_identity, weights_identity
from .patcher import TalkAttachment, attachment_of
from .progress import show_on_node
from .run import RunPlan, check_cast, play
from .studio import Cast

OF_THE_WHOLE_RUN = {"embeds", "voices", "windows", "notes", "reference", "dub"}
"""Of a plan: what depends on its length or is told by itself; all other fields shape every window."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the video goes, and what is done with windows that are finished.

    Attributes:
        place: where the files go.
        resume: what to do with finished windows.
        metadata: written into the video.
    """

    place: RunPlace
    resume: Resume
    metadata: Mapping[str, str]


def saved_run(plan: RunPlan, cast: Cast, wish: Wish) -> dict[str, Any]:
    """Make the video, or what is left to make of it; the LATENT dict of a run whose video is in a file.

    Raises:
        InputError: a model, VAE or speech that does not fit the others.
        RunStoreError: the output folder cannot be used; what was finished is kept.
    """
    check_cast(plan, cast)
    card, form = card_of(plan, cast), VideoForm(plan.size.height_px, plan.size.width_px, plan.embeds.sound)
    form = replace(form, metadata=wish.metadata)
    with RunStore(wish.place, card, form, wish.resume, say=show_on_node, waiting=wait_for_lock) as store:
        if wish.resume is Resume.ONLY_FINISHED:
            path = store.keep_finished()
        else:
            if store.first < len(plan.windows):
                play(plan, cast, store)
            path = store.finish()
    return saved_result(plan, path, store)


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


def card_of(plan: RunPlan, cast: Cast) -> RunCard:
    """Which run it is."""
    attachment = attachment_of(cast.model)
    own = {field.name: getattr(plan, field.name) for field in fields(plan)}
    shared = (
        {name: value for name, value in own.items() if name not in OF_THE_WHOLE_RUN},
        plan.reference if plan.dub is None else source_identity(plan.dub.source),
        VideoSettings(),
        *models_of(cast, attachment),
        conditioning_identity(cast.negative),
    )
    prompt = PromptIdentity(cast)
    keys = window_keys(shared, prompt, plan.windows, plan.embeds, plan.look.blend_frames)
    return RunCard(run_key(keys, plan.embeds), keys, plan.windows, settings_of(plan, attachment))


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


class PromptIdentity:
    """What stands for a window's prompt; one that stays the same is read once."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._prompt: Any = None
        self._identity = ""

    def __call__(self, window: Window) -> str:
        """The fingerprint of the prompt that a window is sampled with."""
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
        "seed": str(plan.seed),
    }


def wait_for_lock(left_s: float) -> None:
    """Says that another machine's lock is being watched; stops when the user interrupts."""
    comfy.model_management.throw_exception_if_processing_interrupted()
    show_on_node(f"the run's folder is locked by another machine; if it stays silent, {left_s:.0f} s more")
