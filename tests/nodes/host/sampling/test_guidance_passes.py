"""Guidance through the real guider and the host's samplers: how often the model is called, and with what."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tiny_host
import torch
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.windows.loop import WindowRequest, WindowVoices
from evertalk_pack.multitalk.windows.modes import WindowCondition
from evertalk_pack.multitalk.windows.plan import Window
from evertalk_pack.multitalk.windows.seeds import seeded_noise

pytestmark = pytest.mark.host

STEPS = 4
GRID = (3, 8, 8)
WINDOW = Window(0, 0, 9, 0, 9)


@dataclass
class Recorder:
    """The branches of each call, by their place among its conds, and what the model predicted for each."""

    calls: list[list[int]] = field(default_factory=list)
    predictions: list[dict[int, torch.Tensor]] = field(default_factory=list)

    def __call__(
        self, executor: Callable[..., torch.Tensor], x: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        prediction = executor(x, *args, **kwargs)
        options = args[4] if len(args) > 4 else kwargs["transformer_options"]
        order = list(options["cond_or_uncond"])
        self.calls.append(order)
        chunks = prediction.clone().chunk(len(order))
        self.predictions.append(dict(zip(order, chunks, strict=True)))
        return prediction

    @property
    def passes(self) -> int:
        """How often a window went through the model."""
        return sum(len(order) for order in self.calls)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, comfyui: Path) -> Any:
    del comfyui
    return tiny_host.load_model(tiny_host.TinyFiles.made_in(tmp_path_factory.mktemp("models")))


def request(model: Any, voices: int = 1) -> WindowRequest:
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    generator = torch.Generator().manual_seed(7)
    width = attachment_of(model).talk_model.config.feature_dim
    audio = torch.randn((voices, WINDOW.frames, 5, 1, width), generator=generator)
    picture = torch.randn((1, 16, *GRID), generator=generator)
    halves = torch.zeros(3, 4, 4)
    halves[0, :, :2], halves[1, :, 2:] = 1, 1
    return WindowRequest(
        window=WINDOW,
        condition=WindowCondition(picture, 1, None, torch.zeros(64, 64, 3)),
        voices=WindowVoices(audio, halves.flatten(1) if voices > 1 else None),
        noise_BCTHW=seeded_noise(1, 0)((1, 16, *GRID)),
        more_noise=lambda: seeded_noise(1, 0),
    )


def sample(model: Any, guidance: GuidanceSettings, voices: int = 1) -> tuple[torch.Tensor, Recorder]:
    from comfy.patcher_extension import WrappersMP
    from evertalk_pack.multitalk.windows.settings import NoiseSchedule
    from evertalk_pack.nodes.host.model.backend import backend_for
    from evertalk_pack.nodes.host.report.progress import RunProgress
    from evertalk_pack.nodes.host.sampling.comfy_backend import (
        ComfyBackend,
        RunModels,
        SamplingSettings,
        sigmas_for,
    )

    recorder = Recorder()
    watched = model.clone()
    watched.add_wrapper(WrappersMP.DIFFUSION_MODEL, recorder)
    prompt, negative = tiny_host.conditioning(1), tiny_host.conditioning(2)
    sampling_backend = ComfyBackend(
        RunModels(watched, None, lambda _window: prompt, negative, lambda _frame: None),
        SamplingSettings(sigmas_for(NoiseSchedule()), "euler", guidance, 1),
        backend_for(watched, "sdpa"),
        RunProgress(watched, 1, STEPS),
    )
    return sampling_backend.sample(request(model, voices)), recorder


@pytest.mark.parametrize(
    ("guidance", "passes_a_step"),
    [
        (GuidanceSettings(1, 1), 1),
        (GuidanceSettings(1, 1, apg=True), 1),
        (GuidanceSettings(1, 0), 1),
        (GuidanceSettings(1, 3), 2),
        (GuidanceSettings(5, 1), 2),
        (GuidanceSettings(5, 0), 2),
        (GuidanceSettings(5, 4), 3),
        (GuidanceSettings(5, 4, apg=True), 3),
    ],
    ids=str,
)
def test_a_step_takes_the_fewest_passes(model: Any, guidance: GuidanceSettings, passes_a_step: int) -> None:
    _, recorder = sample(model, guidance)
    assert recorder.passes == passes_a_step * STEPS


@pytest.mark.parametrize(
    ("start", "end", "passes"),
    [(0.0, 0.5, [2, 2, 1, 1]), (0.5, 1.0, [1, 1, 2, 2]), (0.25, 0.5, [1, 2, 1, 1])],
)
def test_audio_scale_costs_a_pass_only_in_its_span(
    model: Any, start: float, end: float, passes: list[int]
) -> None:
    guidance = GuidanceSettings(1, 3, audio_start_percent=start, audio_end_percent=end)
    _, recorder = sample(model, guidance)
    expected = [place for count in passes for place in range(count)]
    assert [place for order in recorder.calls for place in order] == expected


def no_free_memory(device: object = None, torch_free_too: bool = False) -> int:
    del device, torch_free_too
    return 0


def test_what_else_fills_the_memory_does_not_change_a_bit(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management

    guidance = GuidanceSettings(5, 4)
    ample_latents, ample = sample(model, guidance)
    monkeypatch.setattr(comfy.model_management, "get_free_memory", no_free_memory)
    scarce_latents, scarce = sample(model, guidance)
    assert ample.calls == scarce.calls == [[0], [1], [2]] * STEPS
    assert torch.equal(ample_latents, scarce_latents)


def test_branches_predict_differently(model: Any) -> None:
    _, recorder = sample(model, GuidanceSettings(5, 4))
    first = [value for call in recorder.predictions[:3] for value in call.values()]
    pairs = [(one, other) for index, one in enumerate(first) for other in first[:index]]
    assert all((one - other).abs().max() > 1e-3 for one, other in pairs)


def test_silent_branches_hear_one_track_beside_two_voices(model: Any) -> None:
    _, recorder = sample(model, GuidanceSettings(5, 4), voices=2)
    assert recorder.calls == [[0], [1], [2]] * STEPS


def test_audio_scale_of_zero_gives_what_a_silent_run_gives(model: Any) -> None:
    silent, _ = sample(model, GuidanceSettings(1, 0))
    heard, _ = sample(model, GuidanceSettings(1, 1))
    louder, _ = sample(model, GuidanceSettings(1, 3))
    assert (heard - silent).abs().max() > 1e-4
    assert (louder - silent).abs().mean() > (heard - silent).abs().mean()


def test_apg_changes_what_scales_give(model: Any) -> None:
    plain, _ = sample(model, GuidanceSettings(5, 4))
    projected, _ = sample(model, GuidanceSettings(5, 4, apg=True, apg_norm_threshold=1))
    assert (plain - projected).abs().max() > 1e-3
