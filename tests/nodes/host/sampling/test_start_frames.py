"""Windows that start from given frames: the golden models in the host's own sampler."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from parity_case import PUBLIC_CASES, load_case
from parity_kinds import kind_of

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def stage() -> tuple[Any, Any]:
    """A backend with the golden's models, and the request of the golden's first window."""
    from evertalk_pack.multitalk.model.guidance import GuidanceSettings
    from evertalk_pack.multitalk.windows.loop import request_window
    from evertalk_pack.multitalk.windows.plan import plan_windows
    from evertalk_pack.nodes.host.model.backend import backend_for
    from evertalk_pack.nodes.host.report.progress import RunProgress
    from evertalk_pack.nodes.host.sampling.comfy_backend import ComfyBackend, RunModels, SamplingSettings
    from parity_runners.loop import Recorder, conditionings, host_models, spec_of

    case = load_case(PUBLIC_CASES / "loop_infinitetalk_a", kind_of)
    run = case.config["run"]
    model, vae = host_models(case, Recorder(1))
    positive, negative, seen = conditionings(case)
    windows = plan_windows(run["frame_num"], run["frame_num"], run["motion_frame"])
    sampling_backend = ComfyBackend(
        RunModels(model, vae, lambda _window: positive, negative, lambda _frame: seen),
        SamplingSettings(torch.tensor([1.0, 0.0]), "euler", GuidanceSettings(), 0),
        backend_for(model, "sdpa"),
        RunProgress(model, 1, 1),
    )
    return sampling_backend, request_window(spec_of(case, windows), sampling_backend, windows[0], None)


def distance(stage: tuple[Any, Any], start_BCTHW: torch.Tensor | None, level: float) -> float:
    """How far a window sampled from a level of noise ends from the frames that it could start from."""
    from evertalk_pack.nodes.host.sampling.comfy_backend import ComfyBackend

    sampling_backend, request = stage
    settings = replace(sampling_backend.settings, sigmas=torch.tensor([level, 0.0]))
    at_level = ComfyBackend(
        sampling_backend.run_models, settings, sampling_backend.backend, sampling_backend.progress
    )
    latents = at_level.sample(replace(request, start_BCTHW=start_BCTHW))
    return float((latents - frames_like(request))[:, :, 1:].abs().mean())


def frames_like(request: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(request.noise_BCTHW.shape, generator=generator)


def test_window_ends_the_nearer_to_its_start_frames_the_lower_the_level(stage: tuple[Any, Any]) -> None:
    start_BCTHW = frames_like(stage[1])
    near, middle, far = (distance(stage, start_BCTHW, level) for level in (0.001, 0.3, 0.9))
    assert near < 0.02
    assert near < middle < far


def test_without_start_frames_noise_alone_is_there(stage: tuple[Any, Any]) -> None:
    start_BCTHW = frames_like(stage[1])
    assert distance(stage, None, 0.001) > 10 * distance(stage, start_BCTHW, 0.001)


@pytest.mark.parametrize("scheduler", ["infinitetalk", "simple", "beta"])
def test_denoise_runs_the_asked_steps_from_a_lower_level_as_the_hosts_samplers_do(scheduler: str) -> None:
    from evertalk_pack.multitalk.windows.settings import NoiseSchedule
    from evertalk_pack.nodes.host.sampling.comfy_backend import sigmas_for

    asked = NoiseSchedule(scheduler, steps=6, shift=5.0, denoise=0.5)
    whole = sigmas_for(replace(asked, steps=12, denoise=1.0))
    assert torch.equal(sigmas_for(asked), whole[-7:])
    assert sigmas_for(asked)[0] < 1


@pytest.mark.parametrize(("denoise", "steps"), [(1.0, 4), (0.8, 3), (0.75, 3), (0.5, 2), (0.3, 1), (0.1, 1)])
def test_fixed_list_keeps_its_last_timesteps(denoise: float, steps: int) -> None:
    from evertalk_pack.multitalk.windows.settings import NoiseSchedule
    from evertalk_pack.nodes.host.sampling.comfy_backend import sigmas_for

    whole = sigmas_for(NoiseSchedule("multitalk"))
    assert torch.equal(sigmas_for(NoiseSchedule("multitalk", denoise=denoise)), whole[-steps - 1 :])
