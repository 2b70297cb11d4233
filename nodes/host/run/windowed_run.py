"""One run of the sampler: a plan, then windows that are decoded and written as they are made.

Shape letters: F video frames, H and W pixels, C channels, B batch, T latent frames.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from comfy.utils import common_upscale

from ....attention.plain_text import name_of_dtype
from ....multitalk.common.errors import WINDOWS_KEPT, InputError
from ....multitalk.common.size_buckets import cover_crop
from ....multitalk.common.types import FPS
from ....multitalk.dubbing.clip import Dub
from ....multitalk.dubbing.paste import Paster
from ....multitalk.model.guidance import GuidanceSettings
from ....multitalk.runs.manifest import WindowStats
from ....multitalk.runs.overlap_file import WindowOverlap
from ....multitalk.runs.pausing import Pausing
from ....multitalk.runs.store import RunStore
from ....multitalk.speech.embeds import AudioEmbeds
from ....multitalk.windows.ending import Ending, ending_of
from ....multitalk.windows.finish import LookSettings
from ....multitalk.windows.flashtalk import check_scheduler
from ....multitalk.windows.joins import join_windows
from ....multitalk.windows.loop import RunSpec, generate
from ....multitalk.windows.modes import MODES
from ....multitalk.windows.picture import checked_picture
from ....multitalk.windows.plan import Window, plan_windows
from ....multitalk.windows.references import Reference
from ....multitalk.windows.report import WindowReport, WindowReporter
from ....multitalk.windows.seeds import WindowSeeds, seeded_noise
from ....multitalk.windows.settings import FIXED_STEPS, FrameSize, NoiseSchedule, WindowSettings
from ....multitalk.windows.voices import VoicePlan
from ....wanvideo.geometry import LatentShape
from ....wanvideo.step_cache import step_cache_notes
from ..codecs.sound import audio_of
from ..codecs.vae import check_vae
from ..model.backend import attention_notes, backend_for
from ..model.connected import check_model, check_prompt
from ..model.lora import patch_warnings
from ..model.patcher import AudioAttachment, attachment_of
from ..report.events import RunEvent, send_event
from ..report.machine_faults import machine_faults
from ..report.progress import RunProgress, show_on_node, warn_on_node
from ..sampling.attention_budget import budget_for, check_budget
from ..sampling.clip_vision import sight_notes
from ..sampling.colour_match import drift_from, finishing
from ..sampling.comfy_backend import ComfyBackend, RunModels, SamplingSettings, sigmas_for


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run was asked to do, checked, before any weights are touched.

    Attributes:
        embeds: the speech.
        voices: who is heard in a window, and where they are.
        picture_HWC: the first picture of the run, at the video's size.
        reference: each window's picture.
        size: of the video.
        windows: the windows.
        schedule: noise levels and sampler.
        guidance: text and audio scales.
        seed: of all noise.
        notes: what was changed on the way, a sentence each.
        look: colour, joins and camera.
        dub: the clip that is dubbed, or None.
        window_seeds: windows with a seed of their own.
        end_HWC: the picture that the video ends on, at its size, or None.
        paste: puts windows back into the clip that a region is cut out of; None: windows are the video.
    """

    embeds: AudioEmbeds
    voices: VoicePlan
    picture_HWC: torch.Tensor
    reference: Reference
    size: FrameSize
    windows: tuple[Window, ...]
    schedule: NoiseSchedule
    guidance: GuidanceSettings
    seed: int
    notes: tuple[str, ...]
    look: LookSettings
    dub: Dub | None = None
    window_seeds: WindowSeeds = field(default_factory=WindowSeeds)
    end_HWC: torch.Tensor | None = None
    paste: Paster | None = None

    @property
    def video_size(self) -> FrameSize:
        """Of the finished video."""
        return self.size if self.paste is None else self.paste.size

    def ending(self, window: Window) -> Ending | None:
        """What a window ends on: the last one on the picture that the video ends on."""
        if self.end_HWC is None or window is not self.windows[-1]:
            return None
        return ending_of(window, self.end_HWC)

    def scene_picture(self) -> torch.Tensor:
        """The first picture of the scene that plays now: colours are matched to it."""
        return self.picture_HWC if self.dub is None else self.dub.scene_picture()

    def begin_at(self, first: int) -> None:
        """Get ready to play from a window on: its scene is the one that began last."""
        if self.dub is not None and first < len(self.windows):
            self.dub.reference(next(one for one in self.windows[first::-1] if one.motion == 0))


def fit_picture(
    image_BHWC: object, size: FrameSize, socket: str = "start_image"
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """A picture (H, W, 3), resized to cover the video's size and cut at the centre."""
    picture_HWC, notes = checked_picture(image_BHWC, socket)
    if picture_HWC.shape[:2] != (size.height_px, size.width_px):
        # Scaled, then cut, as the speakers' masks are: the host's own centre crop cuts first, by whole pixels
        # of the picture, which in an enlarged one are several of the video.
        height_px, width_px = picture_HWC.shape[:2]
        crop = cover_crop(height_px, width_px, size.height_px, size.width_px)
        pixels = picture_HWC.movedim(-1, 0)[None]
        scaled = common_upscale(pixels, crop.scaled_width_px, crop.scaled_height_px, "lanczos", "disabled")
        fitted = scaled[0].movedim(0, -1)[crop.top_px :, crop.left_px :]
        picture_HWC = fitted[: size.height_px, : size.width_px]
    return picture_HWC.contiguous(), notes


def windows_of(
    embeds: AudioEmbeds, settings: WindowSettings, cuts: tuple[int, ...] = (), *, leads: bool = False
) -> tuple[Window, ...]:
    """The windows of a video as long as its speech, afresh at the frames where it cuts to another scene."""
    return plan_windows(
        embeds.video_frames, settings.window_frames, settings.motion_frames, cuts, leads=leads
    )


def check_models(plan: RunPlan, run_models: RunModels) -> AudioAttachment:
    """Refuse weights that do not fit, and what would be without effect; what is attached to the model.

    Raises:
        InputError: a model, VAE or speech that does not fit the others, or something connected to them that
            EverTalk has no place for.
    """
    attachment = attachment_of(run_models.model)
    check_scheduler(attachment.mode, plan.schedule.scheduler, attachment.talk_name)
    check_model(run_models.model, attachment.attention_mode)
    check_budget(run_models.model, attachment)
    prompts = {id(prompt): prompt for prompt in map(run_models.prompt, plan.windows)}
    for prompt in prompts.values():
        check_prompt("positive", prompt, run_models.model.model.diffusion_model)
    check_prompt("negative", run_models.negative, run_models.model.model.diffusion_model)
    check_vae(run_models.vae)
    check_speech(plan.embeds, attachment)
    return attachment


@dataclass(frozen=True, slots=True)
class Played:
    """What a run gave beside the frames that it stored.

    Attributes:
        latents_BCTHW: raw VAE latents of the last window.
        reports: figures of each window that was made.
        paused: whether windows are left to make.
    """

    latents_BCTHW: torch.Tensor
    reports: tuple[WindowReport, ...]
    paused: bool = False


def run_windows(
    plan: RunPlan, run_models: RunModels, store: RunStore | None, pausing: Pausing | None = None
) -> Played:
    """Run the windows that are not finished yet; the store gets them as they are made.

    A run that pauses ends after a window, as soon as there is a frame to show.

    Raises:
        InputError: a model, VAE or speech that does not fit the others; frames that hold no numbers.
        RunStoreError: a window could not be written.
        GpuMemoryError, MachineError: see machine_faults.
    """
    attachment, pausing = check_models(plan, run_models), pausing or Pausing()
    first, carry = (0, WindowOverlap()) if store is None else (store.first, store.carry)
    frames = 0 if store is None else store.frames
    pausing.window = first
    sampling_backend = comfy_backend_for(plan, run_models, attachment, first)
    sampling_backend.go_on_with(carry.attention)
    if store is not None:
        store.tell_finished()
    plan.begin_at(first)
    reporter = WindowReporter(drift_from(plan.scene_picture), before_FHWC=carry.emitted)
    blend, count = plan.look.blend_frames, len(plan.windows)
    reports: list[WindowReport] = []
    latents_BCTHW: torch.Tensor | None = None
    windows = generate(spec_of(plan, attachment), sampling_backend, first, carry.motion_FHWC)
    stretches = join_windows(windows, blend, count, carry.held_FHWC)
    del carry  # the loop lets go of its frames when it is done with them
    kept = "" if store is None else WINDOWS_KEPT
    with machine_faults(lambda: f"{sampling_backend.doing} of window {pausing.window + 1} of {count}", kept):
        for stretch in stretches:
            report = reporter.report(stretch)
            reports.append(report)
            latents_BCTHW = stretch.finished.latents_BCTHW
            if store is not None:
                stats = WindowStats(report.seconds, report.drift, report.seam)
                found = sampling_backend.attention_state
                carried = WindowOverlap(stretch.finished.motion_FHWC, stretch.held_FHWC, found)
                store.add(stretch.finished.window, stretch.frames_FHWC, carried, stats)
                del carried
            else:
                send_event(RunEvent("window", count, report.index, text=str(report)))
            show_on_node(f"Window {report.index + 1} of {count} made: {report}")
            frames += len(stretch.frames_FHWC)
            is_last = stretch.is_last
            del stretch  # else its frames would stay in memory while the next window is made
            if store is not None and frames and not is_last and pausing.is_due(report.index):
                return Played(latents_BCTHW, tuple(reports), paused=True)
            pausing.window = min(report.index + 1, count - 1)
    assert latents_BCTHW is not None, "a plan has a window"
    return Played(latents_BCTHW, tuple(reports))


def comfy_backend_for(
    plan: RunPlan, run_models: RunModels, attachment: AudioAttachment, first: int = 0
) -> ComfyBackend:
    """The host's side of a run; says what runs and what was changed."""
    shape = LatentShape.of_video(plan.windows[0].frames, plan.size.height_px, plan.size.width_px)
    backend = backend_for(run_models.model, attachment.attention_mode, shape.tokens)
    sigmas = sigmas_for(plan.schedule)
    steps = len(sigmas) - 1
    fixed = f"{plan.schedule.scheduler}: fixed" if plan.schedule.steps_are_fixed else ""
    progress = RunProgress(run_models.model, len(plan.windows), steps, fixed, first)
    budget, budget_warnings = budget_for(attachment, backend, len(plan.windows))
    attention = str(backend.choice)
    if budget is not None:
        attention += f", sparse within {attachment.attention_budget:g} % ({budget.kernel.name})"
    progress.plan(summary_of(plan, attachment, backend.dtype, attention, steps), plan.seed)
    cache_notes = step_cache_notes(attachment.step_cache, steps)
    own_notes = attention_notes(run_models.model, attachment, backend.choice.ran)
    elsewhere_notes = (backend.choice.why_elsewhere,) if backend.choice.why_elsewhere else ()
    for note in (*attachment.notes, *own_notes, *elsewhere_notes, *cache_notes):
        show_on_node(note)
    tell_notes((*model_warnings(run_models), *backend.choice.notes, *budget_warnings))
    tell_notes((*plan.notes, *mode_notes(plan, run_models, attachment)))
    settings = SamplingSettings(
        sigmas,
        plan.schedule.sampler,
        plan.guidance,
        plan.seed,
        plan.window_seeds,
        plan.schedule.renews_noise,
    )
    return ComfyBackend(run_models, settings, backend, progress, budget)


def tell_notes(notes: tuple[str, ...]) -> None:
    """Say what is not as it was asked for; a run whose windows are all finished says so too."""
    for note in notes:
        tell = show_on_node if note.startswith(FIXED_STEPS) else warn_on_node
        tell(note)


def model_warnings(run_models: RunModels) -> tuple[str, ...]:
    """What of the choices on the model has no effect, as far as its loader and the sizes tell."""
    return (*attachment_of(run_models.model).warnings, *patch_warnings(run_models.model))


def summary_of(
    plan: RunPlan, attachment: AudioAttachment, dtype: torch.dtype, attention: str, steps: int
) -> str:
    """One line that says what will run; `attention` is what ran."""
    frames, schedule = plan.embeds.video_frames, plan.schedule
    return (
        f"{frames / FPS:.2f} s of audio -> {frames} frames, {len(plan.windows)} windows of "
        f"{plan.windows[0].frames} frames, {plan.size.width_px}x{plan.size.height_px}, {attachment.mode} "
        f"mode, {steps} steps ({schedule.scheduler}, shift {schedule.shift:g}, {schedule.sampler}), "
        f"attention {attention} (asked: {attachment.attention_mode}), "
        f"computed in {name_of_dtype(dtype)} (asked: {attachment.compute})"
    )


def mode_notes(plan: RunPlan, run_models: RunModels, attachment: AudioAttachment) -> tuple[str, ...]:
    """Settings that this mode ignores, and what CLIP does not get to see."""
    picture_changes = any(plan.reference(window) is not plan.picture_HWC for window in plan.windows[1:])
    if MODES[attachment.mode]().sees_reference:
        return sight_notes(run_models.see, frames_change=picture_changes)
    notes = sight_notes(run_models.see, frames_change=len(plan.windows) > 1)
    if not picture_changes:
        return notes
    note = (
        f"mode {attachment.mode}: windows after the first see only the frames before them, so pictures over "
        "time and camera moves show in the first window alone. Use InfiniteTalk weights for them"
    )
    return (note, *notes)


def check_speech(embeds: AudioEmbeds, attachment: AudioAttachment) -> None:
    """Refuse speech that another encoder made than the one the audio weights know.

    Raises:
        InputError: names both widths.
    """
    expected = attachment.talk_model.config.feature_dim
    found = embeds.tracks_NLC[0].shape[1] * embeds.tracks_NLC[0].shape[2]
    if found != expected:
        raise InputError(
            f"audio_embeds: the speech encoder gave {found} values a frame, but {attachment.talk_name} was "
            f"trained on {expected}. Load the encoder that belongs to it (chinese-wav2vec2-base for "
            "InfiniteTalk and MultiTalk) in the EverTalk audio encoder loader."
        )


def spec_of(plan: RunPlan, attachment: AudioAttachment) -> RunSpec:
    """The run as the window loop reads it."""
    mode = MODES[attachment.mode]()
    match = finishing(plan.look, plan.scene_picture)

    def finish(window: Window, frames_FHWC: torch.Tensor) -> torch.Tensor:
        matched_FHWC = match(window, frames_FHWC)
        return matched_FHWC if plan.dub is None else plan.dub.finish(window, matched_FHWC)

    return RunSpec(
        windows=plan.windows,
        mode=mode,
        height_px=plan.size.height_px,
        width_px=plan.size.width_px,
        reference=plan.reference,
        voices=plan.voices,
        finish=finish,
        noise=lambda window: seeded_noise(plan.window_seeds.of_run(plan.seed, window.index), window.index),
        start=plan.dub.start if plan.dub is not None and plan.dub.source.is_dense else None,
        ending=plan.ending,
    )


def latent_result(plan: RunPlan, played: Played) -> dict[str, Any]:
    """The LATENT dict of a single window that is not decoded yet."""
    return {
        "samples": played.latents_BCTHW,
        "has_ref": False,
        "video_frames": plan.embeds.video_frames,
        "audio": audio_of(plan.embeds.sound),
    }
