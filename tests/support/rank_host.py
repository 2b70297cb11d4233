"""A tiny MODEL of the host, evaluated by one process and by several: what test_rank_checks.py compares."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import conftest
import torch
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.multitalk.windows.loop import WindowVoices
from evertalk_pack.wanvideo.ranks import Ranks
from evertalk_pack.wanvideo.step_cache import StepCache, StepCacheSettings
from tiny_host import TinyFiles, load_model

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

assert conftest.COMFYUI, "imported so that a process that is started here finds the host"

GRID = 3, 6, 6
PLACES = 3 * 3


def all_cases(files: TinyFiles, ranks: Ranks) -> dict[str, list[torch.Tensor]]:
    """Each case by this process alone, and by all."""
    model = load_model(files)
    cases: dict[str, Callable[[Ranks | None], torch.Tensor]] = {
        "one voice": lambda ranks: forward(model, 1, ranks),
        "two voices": lambda ranks: forward(model, 2, ranks),
        "two voices by ComfyUI's attention": lambda ranks: forward(model, 2, ranks, attention=None),
        "a step left out": lambda ranks: second_step(model, ranks),
    }
    return {name: [case(None), case(ranks)] for name, case in cases.items()}


def second_step(model: "ModelPatcher", ranks: Ranks | None) -> torch.Tensor:
    """The second of two steps, whose blocks the step cache leaves out."""
    cache = StepCache(StepCacheSettings(1e9, (1.0, 0.0), first_steps=1), steps=2)
    forward(model, 2, ranks, step_cache=cache)
    cache.step = 1
    second = forward(model, 2, ranks, step_cache=cache, sigma=0.6)
    assert (cache.computed, cache.left_out) == (1, 1)
    return second


def forward(
    model: "ModelPatcher",
    voices: int,
    ranks: Ranks | None,
    attention: Any = attend,
    step_cache: StepCache | None = None,
    sigma: float = 0.7,
) -> torch.Tensor:
    """The transformer's answer to noise, through the host."""
    from evertalk_pack.nodes.host.model.patcher import KEY, TalkCall, talks_of

    generator = torch.Generator().manual_seed(5)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    (talk,) = talks_of(model)
    masks_MP = None
    if voices > 1:
        masks_MP = torch.nn.functional.one_hot(torch.arange(PLACES) % (voices + 1)).T.float()
    branch = WindowVoices(noise(voices, 4 * GRID[0] - 3, 5, 1, talk.model.config.feature_dim), masks_MP)
    call = TalkCall((branch,), attention, (talk,), step_cache, ranks=ranks)
    options = {
        "cond_or_uncond": [0],
        "uuids": [0],
        "sigmas": torch.tensor([sigma]),
        "wrappers": model.wrappers,
        KEY: call,
    }
    x, text, clip = noise(1, 36, *GRID), noise(1, 8, 4096), noise(1, 257, 1280)
    timestep = torch.tensor([1000 * sigma])
    return model.model.diffusion_model(x, timestep, text, clip_fea=clip, transformer_options=options)
