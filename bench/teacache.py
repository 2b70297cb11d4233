"""What TeaCache saves and what it changes: a window sampled with every step, and with steps left out.

    python bench/teacache.py                        20 steps at 416x240, 81 frames, bf16 weights
    python bench/teacache.py --device cpu --tiny    the same code on small shapes

A row of JSON for each threshold: seconds, evaluations left out, and the relative difference of the latents to
those of all steps. Random weights take the time that real ones take, but guess another change from step to
step: how many steps are left out, and what that costs in quality, is theirs and not the trained model's.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import add_size, emit, emit_setting, parser_of, size_of

THRESHOLDS = (0.0, 0.2, 0.4)
SMALL = "416x240"
"""A quarter of a usual window's tokens: what is saved is a share, and shares are the same."""


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    add_size(parser)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--thresholds", type=float, nargs="+", default=THRESHOLDS)
    arguments = parser.parse_args()
    if arguments.size is None and not arguments.tiny:
        arguments.size = SMALL
    return arguments


def sample_window(model: Any, size: tuple[int, int, int], steps: int) -> tuple[torch.Tensor, Any]:
    """The latents of one window of seeded noise, and the step cache that it used."""
    from comfy.samplers import sampler_object
    from evertalk_pack.multitalk.common.types import MOTION_FRAMES
    from evertalk_pack.multitalk.model.guidance import GuidanceSettings
    from evertalk_pack.multitalk.windows.loop import WindowRequest, WindowVoices
    from evertalk_pack.multitalk.windows.modes import Pin, WindowCondition
    from evertalk_pack.multitalk.windows.plan import plan_windows
    from evertalk_pack.multitalk.windows.seeds import seeded_noise
    from evertalk_pack.multitalk.windows.settings import INFINITETALK_SCHEDULE, NoiseSchedule
    from evertalk_pack.nodes.host.model.patcher import attachment_of
    from evertalk_pack.nodes.host.sampling.comfy_backend import sigmas_for
    from evertalk_pack.nodes.host.sampling.guider import GuiderSettings, TalkGuider
    from node_helpers import conditioning_set_values

    width, height, frames = size
    draw = seeded_noise(0, 0)
    shape = (1, 16, (frames - 1) // 4 + 1, height // 8, width // 8)
    picture = draw(shape)
    condition = WindowCondition(
        picture, 1, Pin(picture[:, :, :1], noised=False), torch.zeros(height, width, 3)
    )
    audio = torch.randn(1, frames, 5, 12, 768, generator=torch.Generator().manual_seed(0))
    window = plan_windows(frames, frames, MOTION_FRAMES)[0]
    request = WindowRequest(window, condition, WindowVoices(audio), draw(shape), lambda: draw)
    settings = GuiderSettings(GuidanceSettings(), None, attachment_of(model).step_cache)
    guider = TalkGuider(model, settings, request)
    mask = torch.ones(1, 1, *shape[2:])
    mask[:, :, 0] = 0
    values = {"concat_latent_image": picture, "concat_mask": mask}
    prompt = conditioning_set_values([[torch.zeros(1, 512, 4096), {}]], values)
    guider.set_conds(prompt, prompt)
    sigmas = sigmas_for(NoiseSchedule(INFINITETALK_SCHEDULE, steps, shift=7.0))
    noise = request.noise_BCTHW
    latents = guider.sample(
        noise, torch.zeros_like(noise), sampler_object("euler"), sigmas, disable_pbar=True, seed=0
    )
    return latents, guider.step_cache


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    device = arguments.device
    pack_alias.prepare(use_cpu=device.type == "cpu")
    import real_size
    from evertalk_pack.attention.self_test import relative_error
    from evertalk_pack.nodes.host.model.patcher import with_step_cache
    from evertalk_pack.wanvideo.step_cache import COEFFICIENTS, StepCacheSettings

    emit_setting("teacache", arguments, device)
    size = real_size.sizes_of(arguments)
    with torch.inference_mode():
        talk = real_size.talk_patcher(size, torch.bfloat16, device)
        base = real_size.wan_model(size, torch.bfloat16, device)
        model = real_size.talking(base, talk, "auto", compile_blocks=False)
        sample_window(model, size_of(arguments), 1)
        exact: torch.Tensor | None = None
        for threshold in arguments.thresholds:
            settings = StepCacheSettings(threshold, COEFFICIENTS["480p"]) if threshold else None
            started = time.perf_counter()
            latents, cache = sample_window(
                with_step_cache(model, settings), size_of(arguments), arguments.steps
            )
            row: dict[str, Any] = {"threshold": threshold, "s": round(time.perf_counter() - started, 3)}
            if cache is not None:
                row |= {"computed": cache.computed, "left_out": cache.left_out}
            if exact is None:
                exact = latents
            row["relative_difference"] = relative_error(latents, exact)
            emit({"what": "teacache", **row})


if __name__ == "__main__":
    main()
