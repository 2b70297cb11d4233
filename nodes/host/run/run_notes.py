"""What a run says: what it will do, what of it is not as it was asked for, each window that is made."""

import torch
from comfy.model_patcher import ModelPatcher

from ....attention.plain_text import name_of_dtype
from ....multitalk.common.types import FPS
from ....multitalk.windows.modes import MODES
from ....multitalk.windows.report import WindowReport
from ....multitalk.windows.settings import FIXED_STEPS
from ..model.lora import patch_warnings
from ..model.patcher import AudioAttachment, attachment_of
from ..parallel.choice import told_of
from ..report.progress import show_on_node, warn_on_node
from ..sampling.clip_vision import clip_vision_notes
from ..sampling.comfy_backend import RunModels
from .plan import RunPlan


def summary_of(plan: RunPlan, model: ModelPatcher, dtype: torch.dtype, attention: str, steps: int) -> str:
    """One line that says what will run; `attention` is what ran."""
    attachment = attachment_of(model)
    frames, schedule = plan.embeds.video_frames, plan.schedule
    return (
        f"{frames / FPS:.2f} s of audio -> {frames} frames, {len(plan.windows)} windows of "
        f"{plan.windows[0].frames} frames, {plan.size.width_px}x{plan.size.height_px}, {attachment.mode} "
        f"mode, {steps} steps ({schedule.scheduler}, shift {schedule.shift:g}, {schedule.sampler}), "
        f"attention {attention} (asked: {attachment.attention_mode}), "
        f"computed in {name_of_dtype(dtype)} (asked: {attachment.compute})"
        f"{told_of(model)}"
    )


def mode_notes(plan: RunPlan, run_models: RunModels, attachment: AudioAttachment) -> tuple[str, ...]:
    """Settings that this mode ignores, and what CLIP does not get to see."""
    if MODES[attachment.mode]().sees_reference:
        return clip_vision_notes(run_models.see, frames_change=plan.picture_changes)
    notes = clip_vision_notes(run_models.see, frames_change=len(plan.windows) > 1)
    if not plan.picture_changes:
        return notes
    note = (
        f"mode {attachment.mode}: windows after the first see only the frames before them, so pictures over "
        "time and camera moves show in the first window alone. Use InfiniteTalk weights for them"
    )
    return (note, *notes)


def model_warnings(run_models: RunModels) -> tuple[str, ...]:
    """What of the choices on the model has no effect, as far as its loader and the sizes tell."""
    return (*attachment_of(run_models.model).warnings, *patch_warnings(run_models.model))


def tell_notes(notes: tuple[str, ...]) -> None:
    """Say what is not as it was asked for; a run whose windows are all finished says so too."""
    for note in notes:
        tell = show_on_node if note.startswith(FIXED_STEPS) else warn_on_node
        tell(note)


def tell_made(report: WindowReport, count: int) -> None:
    """Say that a window of so many is there."""
    show_on_node(f"Window {report.index + 1} of {count} made: {report}")
