"""Which run it is: what stands for its plan, its models and its prompts, in the keys of windows and run."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from comfy.model_patcher import ModelPatcher

from ....attention.plain_text import name_of_dtype
from ....multitalk.common.fingerprint import fingerprint, fingerprint_file
from ....multitalk.dubbing.clip import DubSource
from ....multitalk.media.output_format import MP4_H264, OutputFormat
from ....multitalk.media.stream_codecs import VideoSettings
from ....multitalk.runs.identity import RunIdentity
from ....multitalk.runs.keys import run_key, window_keys
from ....multitalk.windows.plan import Window
from ..compat.precision import computed_in
from ..model.patcher import AudioAttachment, attachment_of
from ..sampling.comfy_backend import RunModels
from .identity import clip_vision_identity, model_identity, outline, vae_identity, weights_identity
from .plan import RunPlan


def identity_of(plan: RunPlan, run_models: RunModels, output: OutputFormat = MP4_H264) -> RunIdentity:
    """Which run it is."""
    attachment = attachment_of(run_models.model)
    shared = (
        plan.of_every_window,
        plan.reference if plan.source is None else source_identity(plan.source),
        *settings_identity(output),
        *models_of(run_models, attachment),
        conditioning_identity(run_models.negative),
    )
    own_of = WindowIdentity(run_models, plan)
    keys = window_keys(shared, own_of, plan.windows, plan.embeds, plan.look.blend_frames)
    return RunIdentity(
        run_key(keys, plan.embeds),
        keys,
        plan.windows,
        settings_of(plan, attachment, run_models.model),
        clip_key(plan, shared, own_of),
    )


def clip_key(plan: RunPlan, shared: tuple[Any, ...], own_of: "WindowIdentity") -> str:
    """What stands for the first clip, in the frames of it that windows end on; empty where there is none."""
    clip = plan.first_clip
    if clip is None:
        return ""
    (key,) = window_keys((*shared, clip.wanted), own_of.of_prompt, (clip.window,), plan.embeds, 0)
    return key


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
        clip_vision_identity(run_models.see),
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
        self._prompts: dict[int, tuple[Any, str]] = {}

    def __call__(self, window: Window) -> Any:
        """The fingerprint of the prompt that a window is sampled with, its seed if it is its own, its end."""
        prompt_identity, seed = self.of_prompt(window), self._plan.window_seeds.of(window.index)
        ending, clip = self._plan.ending(window), self._plan.first_clip
        own = prompt_identity if seed is None else (prompt_identity, seed)
        if self._plan.paste is not None and window is self._plan.windows[-1]:
            own = (own, "the end of the clip")  # frames behind the last made one are the last window's
        if ending is not None:
            return own, ending
        # The clip hears what the first window hears, and is else of what the run shares, and its prompt.
        return own if clip is None else (own, clip.anchors[window.index], self.of_prompt(clip.window))

    def of_prompt(self, window: Window) -> str:
        """The fingerprint of the prompt that a window is sampled with."""
        prompt = self._run_models.prompt(window)
        if id(prompt) not in self._prompts:  # held beside its identity, so that no other takes its id
            self._prompts[id(prompt)] = prompt, conditioning_identity(prompt)
        return self._prompts[id(prompt)][1]


def conditioning_identity(conditioning: Any) -> str:
    """What stands for a CONDITIONING: its tensors whole, its objects by name."""
    entries = [(tensor, outline(values)) for tensor, values in conditioning or ()]
    return fingerprint(entries)


def source_identity(source: DubSource) -> str:
    """What stands for a clip: its bytes, wherever it lies, and what is done with it."""
    video = source.video.video
    content = fingerprint(video) if isinstance(video, bytes) else fingerprint_file(Path(video))
    return fingerprint(content, *source_settings(source))


def source_settings(source: DubSource) -> tuple[Any, ...]:
    """What is done with a clip."""
    rest = [getattr(source, field.name) for field in fields(source) if field.name not in ("video", "work")]
    # Clips that are made to talk as a whole are known by what they always were.
    return (rest,) if source.work is None else (rest, source.work.identity)


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
