"""One run of the sampler, phase after phase: windows are decoded and written as they are made.

Shape letters: F video frames, H and W pixels, C channels, B batch, T latent frames.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_management
import torch

from ....multitalk.common.errors import WINDOWS_KEPT, InputError
from ....multitalk.common.types import FPS
from ....multitalk.dubbing.clip import Dub
from ....multitalk.media.stream_codecs import VideoSettings
from ....multitalk.runs.identity import Resume, VideoForm
from ....multitalk.runs.manifest import WindowStats
from ....multitalk.runs.overlap_file import WindowOverlap
from ....multitalk.runs.pausing import Pausing, paused_text
from ....multitalk.runs.store import RunStore
from ....multitalk.speech.embeds import AudioEmbeds
from ....multitalk.windows.joins import join_windows
from ....multitalk.windows.loop import RunSpec, generate
from ....multitalk.windows.modes import MODES, RecallPicture, encode_now
from ....multitalk.windows.plan import Window
from ....multitalk.windows.report import WindowReport, WindowReporter
from ....multitalk.windows.seeds import seeded_noise
from ....multitalk.windows.whole_model import check_scheduler
from ....wanvideo.geometry import LatentShape
from ....wanvideo.step_cache import step_cache_notes
from ..codecs.sound import audio_of
from ..codecs.vae import check_vae
from ..model.backend import attention_notes, backend_for
from ..model.connected import check_model, check_prompt
from ..model.patcher import AudioAttachment, attachment_of
from ..parallel.choice import check_parallel
from ..report.events import RunEvent, send_event
from ..report.machine_faults import machine_faults
from ..report.progress import RunProgress, show_on_node
from ..report.run_events import RunEventSender, told_windows
from ..sampling.attention_budget import budget_for, check_budget
from ..sampling.colour_match import finishing
from ..sampling.comfy_backend import ComfyBackend, RunModels, SamplingSettings, sigmas_for
from .first_clip import RunClip
from .job import OutputOptions
from .plan import RunPlan
from .review import REVIEWS
from .run_identity import identity_of
from .run_notes import mode_notes, model_warnings, summary_of, tell_made, tell_notes
from .window_pictures import opened


def saved_run(plan: RunPlan, run_models: RunModels, options: OutputOptions) -> dict[str, Any]:
    """Make the video, or what is left to make of it; the LATENT dict of a run whose video is in a file.

    The phases of a run, in their order: check the models, find what is finished, run the windows that are
    left, make one file of all.

    Raises:
        InputError: a model, VAE or speech that does not fit the others.
        RunStoreError: the output folder cannot be used; what was finished is kept.
    """
    plan = replace(plan, notes=(*plan.notes, *options.notes))
    attachment = check_models(plan, run_models)
    sender = RunEventSender(plan.windows)
    store = store_of(plan, run_models, options, sender)
    only_finished = options.resume is Resume.ONLY_FINISHED
    clip_closed = nullcontext() if plan.paste is None else closing(plan.paste)
    with sender.ending(store), clip_closed, store:
        paused = False
        if not only_finished and store.first < len(plan.windows):
            pausing = Pausing(options.pause_after)
            with REVIEWS.running(str(store.folder), len(plan.windows), pausing):
                paused = run_windows(plan, run_models, attachment, store, pausing).paused
        else:
            tell_notes((*model_warnings(run_models), *plan.notes))
        path = store.keep_finished() if paused or only_finished else store.finish()
    if plan.paste is not None and plan.paste.pasted:
        show_on_node(plan.paste.report())
    if not paused:
        REVIEWS.note_result(path)
        return saved_result(plan, path, store)
    REVIEWS.note_pause()
    note = paused_text(len(store.stats), len(plan.windows))
    show_on_node(note)
    return {**saved_result(plan, path, store), "note": note}


def store_of(
    plan: RunPlan, run_models: RunModels, options: OutputOptions, sender: RunEventSender
) -> RunStore:
    """Where the run's windows are kept; its folder is opened when the store is entered."""
    identity = identity_of(plan, run_models, options.output)
    if options.preflight is not None:
        identity = replace(identity, settings={**identity.settings, **options.preflight.settings})
    form = VideoForm(
        plan.size.height_px,
        plan.size.width_px,
        plan.embeds.sound,
        options.metadata,
        VideoSettings() if plan.paste is None else VideoSettings(plan.paste.fps),
        options.output,
        plan.paste,
    )
    store = RunStore(
        options.place,
        identity,
        form,
        options.resume,
        say=show_on_node,
        waiting=wait_for_lock,
        written=sender.window_written,
    )
    store.review = options.pause_after
    return store


def latent_run(plan: RunPlan, run_models: RunModels) -> dict[str, Any]:
    """Sample a single window that is not decoded yet; its LATENT dict.

    Raises:
        InputError: a model, VAE or speech that does not fit the others.
    """
    played = run_windows(plan, run_models, check_models(plan, run_models))
    return {
        "samples": played.latents_BCTHW,
        "has_ref": False,
        "video_frames": plan.embeds.video_frames,
        "audio": audio_of(plan.embeds.sound),
    }


def saved_result(plan: RunPlan, path: Path, store: RunStore) -> dict[str, Any]:
    """The LATENT dict of a run whose video is in a file."""
    fps, seconds = float(FPS), store.frames / FPS
    if plan.paste is not None:
        fps, seconds = float(plan.paste.fps), plan.paste.seconds(store.frames)
    return {
        "video": {
            "path": str(path),
            "frames": store.frames,
            "fps": fps,
            "width": plan.video_size.width_px,
            "height": plan.video_size.height_px,
            "seconds": seconds,
        },
        "output_path": str(path),
        "run_folder": str(store.folder),
        "windows": told_windows(plan.windows, store.stats),
    }


def wait_for_lock(left_s: float) -> None:
    """Says that another machine's lock is being watched; stops when the user interrupts."""
    comfy.model_management.throw_exception_if_processing_interrupted()
    show_on_node(f"the run's folder is locked by another machine; if it stays silent, {left_s:.0f} s more")


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
    check_parallel(run_models.model)
    clip = () if plan.first_clip is None else (plan.first_clip.window,)
    prompts = {id(prompt): prompt for prompt in map(run_models.prompt, (*clip, *plan.windows))}
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
        paused: whether windows are left to make.
    """

    latents_BCTHW: torch.Tensor
    paused: bool = False


def run_windows(
    plan: RunPlan,
    run_models: RunModels,
    attachment: AudioAttachment,
    store: RunStore | None = None,
    pausing: Pausing | None = None,
) -> Played:
    """Run the windows that are not finished yet; the store gets them as they are made.

    A run that pauses ends after a window, as soon as there is a frame to show.

    Args:
        plan: what was asked for.
        run_models: what it is sampled with.
        attachment: what check_models found attached to the model.
        store: keeps finished windows; None: nothing is kept.
        pausing: stops the run between windows.

    Raises:
        InputError: frames that hold no numbers.
        RunStoreError: a window could not be written.
        GpuMemoryError, MachineError: see machine_faults.
    """
    pausing = pausing or Pausing()
    first, carry = (0, WindowOverlap()) if store is None else (store.first, store.carry)
    frames = 0 if store is None else store.frames
    pausing.window = first
    clip = RunClip(plan.first_clip, store)
    sampling_backend = comfy_backend_for(plan, run_models, attachment, first, makes_clip=clip.is_to_make)
    sampling_backend.go_on_with(carry.attention)
    if store is not None:
        store.tell_finished()
    latents_BCTHW: torch.Tensor | None = None
    count, kept = len(plan.windows), "" if store is None else WINDOWS_KEPT
    faults = machine_faults(
        lambda: f"{sampling_backend.doing} of window {pausing.window + 1} of {count}", kept
    )
    with clip_of(plan) as dub, faults, written(store):
        if dub is not None:
            dub.begin_at(plan.windows, first)
        reporter = WindowReporter(scene_picture(plan, dub), before_FHWC=carry.emitted)
        spec = clip.ended(spec_of(plan, attachment, dub, sampling_backend.recall_picture), sampling_backend)
        windows = generate(spec, sampling_backend, first, carry.motion_FHWC)
        chunks = join_windows(windows, plan.look.blend_frames, count, carry.held_FHWC)
        del carry  # the loop lets go of its frames when it is done with them
        for chunk in chunks:
            index, measuring = chunk.finished.window.index, reporter.measuring(chunk)
            latents_BCTHW = chunk.finished.latents_BCTHW
            if store is not None:
                found = sampling_backend.attention_state
                carried = WindowOverlap(chunk.finished.motion_FHWC, chunk.held_FHWC, found)
                measure = partial(measured, measuring, count)
                store.add(chunk.finished.window, chunk.frames_FHWC, carried, measure)
                del carried, measure
            else:
                report = measuring()
                send_event(RunEvent("window", count, report.index, text=str(report)))
                tell_made(report, count)
            frames += len(chunk.frames_FHWC)
            is_last = chunk.is_last
            del chunk, measuring  # else its frames would stay in memory while the next window is made
            if store is not None and frames and not is_last and pausing.is_due(index):
                return Played(latents_BCTHW, paused=True)
            pausing.window = min(index + 1, count - 1)
    assert latents_BCTHW is not None, "a plan has a window"
    return Played(latents_BCTHW)


@contextmanager
def written(store: RunStore | None) -> Generator[None]:
    """Ends once the last window of the block is written too, so that its faults come out of the block."""
    yield
    if store is not None:
        store.wait()


def measured(measuring: Callable[[], WindowReport], count: int) -> WindowStats:
    """Measure a window of so many, and tell it."""
    report = measuring()
    tell_made(report, count)
    return WindowStats(report.seconds, report.drift, report.seam)


def clip_of(plan: RunPlan) -> AbstractContextManager[Dub | None]:
    """The clip that a run plays, open while it does; None where it has pictures."""
    return nullcontext() if plan.source is None else closing(opened(plan.source, plan.size))


def comfy_backend_for(
    plan: RunPlan,
    run_models: RunModels,
    attachment: AudioAttachment,
    first: int = 0,
    *,
    makes_clip: bool = False,
) -> ComfyBackend:
    """The host's side of a run; says what runs and what was changed."""
    shape = LatentShape.of_video(plan.windows[0].frames, plan.size.height_px, plan.size.width_px)
    backend = backend_for(run_models.model, attachment.attention_mode, shape.tokens)
    sigmas = sigmas_for(plan.schedule)
    steps = len(sigmas) - 1
    fixed = f"{plan.schedule.scheduler}: fixed" if plan.schedule.steps_are_fixed else ""
    progress = RunProgress(run_models.model, len(plan.windows), steps, fixed, first, makes_clip=makes_clip)
    budget, budget_warnings = budget_for(attachment, backend, len(plan.windows))
    attention = str(backend.choice)
    if budget is not None:
        attention += f", sparse within {attachment.attention_budget:g} % ({budget.kernel.name})"
    progress.plan(summary_of(plan, run_models.model, backend.dtype, attention, steps), plan.seed)
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


def scene_picture(plan: RunPlan, dub: Dub | None) -> Callable[[], torch.Tensor]:
    """The first picture of the scene that plays now: colours are matched to it."""
    return (lambda: plan.picture_HWC) if dub is None else dub.scene_picture


def spec_of(
    plan: RunPlan,
    attachment: AudioAttachment,
    dub: Dub | None = None,
    recall: RecallPicture = encode_now,
) -> RunSpec:
    """The run as the window loop reads it; `dub` is the plan's source, opened."""
    match = finishing(plan.look, scene_picture(plan, dub))
    reference = plan.reference if dub is None else dub.reference
    assert reference is not None, "the source of a run gives its pictures"

    def finish(window: Window, frames_FHWC: torch.Tensor) -> torch.Tensor:
        matched_FHWC = match(window, frames_FHWC)
        return matched_FHWC if dub is None else dub.finish(window, matched_FHWC)

    return RunSpec(
        windows=plan.windows,
        mode=MODES[attachment.mode](recall),
        height_px=plan.size.height_px,
        width_px=plan.size.width_px,
        reference=reference,
        voices=plan.voices,
        finish=finish,
        noise=lambda window: seeded_noise(plan.window_seeds.of_run(plan.seed, window.index), window.index),
        start=dub.start if dub is not None and dub.source.is_dense else None,
        ending=plan.ending,
    )
