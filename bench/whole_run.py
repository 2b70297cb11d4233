"""Windows through the pack's loop on the host, with random speech, for timing."""

import time
from collections.abc import Callable
from typing import Any

import torch
from evertalk_pack.multitalk.common.types import MOTION_FRAMES
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.windows.loop import RunSpec, WindowVoices, generate
from evertalk_pack.multitalk.windows.modes import InfiniteTalkMode
from evertalk_pack.multitalk.windows.plan import plan_windows
from evertalk_pack.multitalk.windows.seeds import seeded_noise
from evertalk_pack.multitalk.windows.settings import NoiseSchedule
from evertalk_pack.nodes.host.model.backend import backend_for
from evertalk_pack.nodes.host.model.patcher import attachment_of
from evertalk_pack.nodes.host.report.progress import RunProgress
from evertalk_pack.nodes.host.sampling.comfy_backend import (
    ComfyBackend,
    RunModels,
    SamplingSettings,
    sigmas_for,
)


def play_windows(
    model: Any, vae: Any, size_wh: tuple[int, int], window_frames: int, wait: Callable[[], None]
) -> list[float]:
    """Seconds of each of two windows, four steps, guidance 1."""
    width, height = size_wh
    windows = plan_windows(2 * window_frames - MOTION_FRAMES, window_frames, MOTION_FRAMES)
    attachment = attachment_of(model)
    features = attachment.talk_model.config.feature_dim
    audio = torch.randn(1, window_frames, 5, 12, features // 12)
    prompt: list[Any] = [[torch.randn(1, 512, 4096), {}]]
    sigmas = sigmas_for(NoiseSchedule())
    sampling_backend = ComfyBackend(
        RunModels(model, vae, lambda _window: prompt, None, lambda _frame: None),
        SamplingSettings(sigmas, "euler", GuidanceSettings(), 0),
        backend_for(model, attachment.attention_mode),
        RunProgress(model, len(windows), len(sigmas) - 1),
    )
    picture = torch.rand(height, width, 3)
    spec = RunSpec(
        windows=windows,
        mode=InfiniteTalkMode(),
        height_px=height,
        width_px=width,
        reference=lambda _window: picture,
        voices=lambda _window: WindowVoices(audio),
        finish=lambda _window, frames_FHWC: frames_FHWC,
        noise=lambda window: seeded_noise(0, window.index),
    )
    seconds: list[float] = []
    started = time.perf_counter()
    for _window in generate(spec, sampling_backend):
        wait()
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    return seconds
