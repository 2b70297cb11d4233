"""Windows through the pack's loop on the host, with random speech, for timing."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from evertalk_pack.multitalk.common.types import MOTION_FRAMES
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.windows.finish import LookSettings
from evertalk_pack.multitalk.windows.loop import RunSpec, WindowRequest, WindowVoices, generate
from evertalk_pack.multitalk.windows.modes import InfiniteTalkMode
from evertalk_pack.multitalk.windows.plan import plan_windows
from evertalk_pack.multitalk.windows.seeds import seeded_noise
from evertalk_pack.multitalk.windows.settings import NoiseSchedule, checked_schedule
from evertalk_pack.nodes.host.model.backend import backend_for
from evertalk_pack.nodes.host.model.patcher import attachment_of
from evertalk_pack.nodes.host.report.progress import RunProgress
from evertalk_pack.nodes.host.sampling.colour_match import finishing
from evertalk_pack.nodes.host.sampling.comfy_backend import (
    ComfyBackend,
    RunModels,
    SamplingSettings,
    sigmas_for,
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What windows are made by, InfiniteTalk's in four steps unless said otherwise.

    Attributes:
        schedule: noise levels and sampler.
        motion_frames: frames that a window takes over.
        windows: how many are made.
        look: what is done to frames.
    """

    schedule: NoiseSchedule = field(default_factory=NoiseSchedule)
    motion_frames: int = MOTION_FRAMES
    windows: int = 2
    look: LookSettings = field(default_factory=LookSettings)


@dataclass
class TimedParts:
    """A backend of the loop that notes what each of its parts takes.

    Attributes:
        backend: does the work.
        wait: until the GPU has done all that it was given.
        seconds: by part, of all windows so far.
    """

    backend: ComfyBackend
    wait: Callable[[], None]
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    def note(self, part: str, call: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What `call` gives, its time added to those of the part."""
        self.wait()
        started = time.perf_counter()
        made = call()
        self.wait()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - started
        return made

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        """See SamplingBackend."""
        return self.note("encode", lambda: self.backend.encode(frames_FHWC))

    def sample(self, request: WindowRequest) -> torch.Tensor:
        """See SamplingBackend."""
        return self.note("sample", lambda: self.backend.sample(request))

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        """See SamplingBackend."""
        return self.note("decode", lambda: self.backend.decode(latents_BCTHW))


@dataclass(frozen=True, slots=True)
class MadeWindow:
    """A window of a run.

    Attributes:
        seconds: that it took.
        new_frames: that it gave to the video.
        parts: of the seconds, by part of the work.
    """

    seconds: float
    new_frames: int
    parts: dict[str, float]


def play_windows(
    model: Any, vae: Any, size_wh: tuple[int, int], window_frames: int, wait: Callable[[], None]
) -> list[float]:
    """Seconds of each of two windows, four steps, guidance 1."""
    return [made.seconds for made in made_windows(model, vae, size_wh, window_frames, wait, Recipe())]


def made_windows(
    model: Any,
    vae: Any,
    size_wh: tuple[int, int],
    window_frames: int,
    wait: Callable[[], None],
    recipe: Recipe,
) -> list[MadeWindow]:
    """Make windows by a recipe, guidance 1, and tell how long each took."""
    width, height = size_wh
    schedule, _ = checked_schedule(recipe.schedule)
    leads, motion = schedule.renews_noise, recipe.motion_frames
    advance = window_frames - motion
    length = recipe.windows * advance + (0 if leads else motion)
    windows = plan_windows(length, window_frames, motion, leads=leads)
    attachment = attachment_of(model)
    features = attachment.talk_model.config.feature_dim
    audio = torch.randn(1, window_frames, 5, 12, features // 12)
    prompt: list[Any] = [[torch.randn(1, 512, 4096), {}]]
    sigmas = sigmas_for(schedule)
    timed = TimedParts(
        ComfyBackend(
            RunModels(model, vae, lambda _window: prompt, None, lambda _frame: None),
            SamplingSettings(
                sigmas, schedule.sampler, GuidanceSettings(), 0, renews_noise=schedule.renews_noise
            ),
            backend_for(model, attachment.attention_mode),
            RunProgress(model, len(windows), len(sigmas) - 1),
        ),
        wait,
    )
    picture = torch.rand(height, width, 3)
    finish = finishing(recipe.look, lambda: picture)
    spec = RunSpec(
        windows=windows,
        mode=InfiniteTalkMode(),
        height_px=height,
        width_px=width,
        reference=lambda _window: picture,
        voices=lambda _window: WindowVoices(audio),
        finish=lambda window, frames_FHWC: timed.note("finish", lambda: finish(window, frames_FHWC)),
        noise=lambda window: seeded_noise(0, window.index),
    )
    made: list[MadeWindow] = []
    started = time.perf_counter()
    for finished in generate(spec, timed):
        wait()
        made.append(MadeWindow(time.perf_counter() - started, finished.window.new, timed.seconds))
        timed.seconds = {}
        started = time.perf_counter()
    return made
