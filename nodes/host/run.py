"""One run of the sampler: a plan, then windows that are decoded and written as they are made.

Shape letters: F video frames, H and W pixels, C channels, B batch, T latent frames.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from comfy.utils import common_upscale

from ...multitalk.errors import InputError
from ...multitalk.generate import FinishedWindow, Score, generate
from ...multitalk.guidance import GuidanceSettings
from ...multitalk.modes import InfiniteTalkMode, MultiTalkMode, WindowMode
from ...multitalk.noise import seeded_noise
from ...multitalk.picture import checked_picture
from ...multitalk.run_settings import FrameSize, ScheduleSettings, WindowSettings
from ...multitalk.size_buckets import cover_crop
from ...multitalk.types import FPS, AudioEmbeds
from ...multitalk.video_writer import VideoWriter
from ...multitalk.window_voices import VoicePlan
from ...multitalk.windows import Window, plan_windows
from .backend import backend_for
from .codecs import check_vae
from .patcher import TalkAttachment, attachment_of
from .progress import RunProgress, show_on_node
from .studio import Cast, HostStudio, SamplingSettings, sigmas_for

LOG = logging.getLogger("evertalk")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run was asked to do, checked, before any weights are touched.

    Attributes:
        embeds: the speech.
        voices: who is heard in a window, and where they are.
        picture_HWC: the start picture, cut to the video's size.
        size: of the video.
        windows: the windows.
        schedule: noise levels and sampler.
        guidance: text and audio scales.
        seed: of all noise.
        notes: what was changed on the way, a sentence each.
    """

    embeds: AudioEmbeds
    voices: VoicePlan
    picture_HWC: torch.Tensor
    size: FrameSize
    windows: tuple[Window, ...]
    schedule: ScheduleSettings
    guidance: GuidanceSettings
    seed: int
    notes: tuple[str, ...]


def fit_picture(image_BHWC: object, size: FrameSize) -> tuple[torch.Tensor, tuple[str, ...]]:
    """The start picture (H, W, 3), resized to cover the video's size and cut at the centre."""
    picture_HWC, notes = checked_picture(image_BHWC)
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


def windows_of(embeds: AudioEmbeds, settings: WindowSettings) -> tuple[Window, ...]:
    """The windows of a video as long as its speech."""
    return plan_windows(embeds.video_frames, settings.window_frames, settings.motion_frames)


def play(plan: RunPlan, cast: Cast, writer: VideoWriter | None) -> FinishedWindow:
    """Run all windows; their frames go to the writer as they are made. Returns the last window.

    Raises:
        InputError: a model, VAE or speech that does not fit the others.
    """
    attachment = attachment_of(cast.model)
    check_vae(cast.vae)
    check_speech(plan.embeds, attachment)
    studio = studio_for(plan, cast, attachment)
    last: FinishedWindow | None = None
    for last in generate(score_of(plan, attachment), studio):
        if writer is not None:
            writer.write(last.frames_FHWC)
            LOG.info("window %d of %d written", last.window.index + 1, len(plan.windows))
    assert last is not None, "a plan has a window"
    return last


def studio_for(plan: RunPlan, cast: Cast, attachment: TalkAttachment) -> HostStudio:
    """The host's side of a run; says what runs and what was changed."""
    backend = backend_for(cast.model, attachment.attention_mode)
    sigmas = sigmas_for(plan.schedule)
    steps = len(sigmas) - 1
    fixed = f"{plan.schedule.scheduler}: fixed" if plan.schedule.steps_are_fixed else ""
    progress = RunProgress(cast.model, len(plan.windows), steps, fixed)
    show_on_node(summary_of(plan, attachment, backend.choice.ran, steps))
    for note in (*attachment.notes, *backend.choice.notes, *plan.notes):
        show_on_node(note)
    settings = SamplingSettings(sigmas, plan.schedule.sampler, plan.guidance, plan.seed)
    return HostStudio(cast, settings, backend, progress)


def summary_of(plan: RunPlan, attachment: TalkAttachment, attention: str, steps: int) -> str:
    """One line that says what will run."""
    frames = plan.embeds.video_frames
    return (
        f"{frames / FPS:.2f} s of audio -> {frames} frames, {len(plan.windows)} windows of "
        f"{plan.windows[0].frames} frames, {plan.size.width_px}x{plan.size.height_px}, {attachment.mode} "
        f"mode, "
        f"{steps} steps ({plan.schedule.scheduler}, shift {plan.schedule.shift:g}, {plan.schedule.sampler}), "
        f"attention {attention} (asked: {attachment.attention_mode})"
    )


def check_speech(embeds: AudioEmbeds, attachment: TalkAttachment) -> None:
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
            f"InfiniteTalk "
            "and MultiTalk) in the EverTalk audio encoder loader."
        )


def score_of(plan: RunPlan, attachment: TalkAttachment) -> Score:
    """The run as the window loop reads it."""
    mode: WindowMode = InfiniteTalkMode() if attachment.mode == "infinitetalk" else MultiTalkMode()
    return Score(
        windows=plan.windows,
        mode=mode,
        height_px=plan.size.height_px,
        width_px=plan.size.width_px,
        reference=lambda _window: plan.picture_HWC,
        voices=plan.voices,
        finish=lambda frames_FHWC: frames_FHWC,
        noise=lambda window: seeded_noise(plan.seed, window.index),
    )


def saved_result(plan: RunPlan, path: Path) -> dict[str, Any]:
    """The LATENT dict of a run whose video is in a file."""
    return {
        "video": {
            "path": str(path),
            "frames": plan.embeds.video_frames,
            "fps": float(FPS),
            "width": plan.size.width_px,
            "height": plan.size.height_px,
            "seconds": plan.embeds.video_frames / FPS,
        },
        "output_path": str(path),
    }


def latent_result(plan: RunPlan, window: FinishedWindow) -> dict[str, Any]:
    """The LATENT dict of a single window that is not decoded yet."""
    sound = plan.embeds.sound
    return {
        "samples": window.latents_BCTHW,
        "has_ref": False,
        "video_frames": plan.embeds.video_frames,
        "audio": {"waveform": sound.samples_CT[None], "sample_rate": sound.sample_rate_hz},
    }
