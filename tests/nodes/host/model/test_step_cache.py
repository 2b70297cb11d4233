"""TeaCache and the host's own caches of steps, through the real guider and the host's samplers."""

from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.wanvideo.step_cache import StepCacheSettings
from tiny_host import TinyFiles, play_windows, speech

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

FRAMES, STEPS = 9, 8
LINEAR = (1.0, 0.0)
MANY_STEPS = {"scheduler": "infinitetalk", "steps": STEPS}


class BlockCounter:
    """Counts how often the first block of the transformer is run."""

    def __init__(self, model: "ModelPatcher") -> None:
        self.runs = 0
        norm = model.model.diffusion_model.blocks[0].norm1
        norm.register_forward_hook(self.note)

    def note(self, *_: Any) -> None:
        self.runs += 1


def cached(model: "ModelPatcher", threshold: float, first_steps: int = 2) -> "ModelPatcher":
    from evertalk_pack.nodes.host.model.patcher import with_step_cache

    return with_step_cache(model, StepCacheSettings(threshold, LINEAR, first_steps))


@pytest.mark.parametrize(("text_scale", "branches"), [(1.0, 1), (5.0, 3)])
def test_steps_are_left_out_for_every_branch(
    talking: "ModelPatcher",
    tiny: TinyFiles,
    vae: Any,
    text_scale: float,
    branches: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "evertalk")
    counter = BlockCounter(talking)
    scales = {"text_scale": text_scale, "audio_scale": 1.0 if branches == 1 else 4.0}
    play_windows(cached(talking, 1e9), vae, speech(tiny, FRAMES), **MANY_STEPS, **scales)
    assert counter.runs == 2 * branches
    assert f"step cache: {(STEPS - 2) * branches} of {STEPS * branches} evaluations left out" in caplog.text
    assert "step cache: TeaCache, threshold 1e+09" in caplog.text


def test_a_threshold_of_zero_gives_what_no_cache_gives(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    embeds = speech(tiny, FRAMES)
    plain = play_windows(talking, vae, embeds, **MANY_STEPS)
    assert torch.equal(play_windows(cached(talking, 0.0), vae, embeds, **MANY_STEPS), plain)
    assert not torch.equal(play_windows(cached(talking, 1e9), vae, embeds, **MANY_STEPS), plain)
    assert torch.equal(play_windows(talking, vae, embeds, **MANY_STEPS), plain), "the model given stays as is"


def test_every_window_begins_anew(talking: "ModelPatcher", tiny: TinyFiles, vae: Any) -> None:
    model = cached(talking, 1e9)
    counter = BlockCounter(talking)
    play_windows(model, vae, speech(tiny, 3 * FRAMES), **MANY_STEPS)
    windows = 6  # 9 frames, then 4 new ones each
    assert counter.runs == 2 * windows
    counter.runs = 0
    first = play_windows(model, vae, speech(tiny, 2 * FRAMES), **MANY_STEPS)
    assert torch.equal(play_windows(model, vae, speech(tiny, 2 * FRAMES), **MANY_STEPS), first)


def test_too_few_steps_for_the_cache_are_said(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "evertalk")
    play_windows(cached(talking, 0.2, first_steps=5), vae, speech(tiny, FRAMES))
    assert (
        "step cache: it does nothing in 4 steps, since the first 5 and the last 0 are always" in caplog.text
    )


def test_a_model_without_audio_weights_is_refused(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    base, _ = load_base(tiny.base, Quantization.AS_STORED)
    with pytest.raises(InputError, match="model: this MODEL has no audio weights"):
        cached(base, 0.2)


def test_the_node_hands_its_widgets_on(talking: "ModelPatcher") -> None:
    from evertalk_pack.nodes.host.model.patcher import attachment_of
    from evertalk_pack.nodes.step_cache import EverTalkStepCache
    from evertalk_pack.wanvideo.step_cache import COEFFICIENTS

    output: Any = EverTalkStepCache.execute(talking, 0.35, "720p", 6, 1)
    settings = attachment_of(output.result[0]).step_cache
    assert settings == StepCacheSettings(0.35, COEFFICIENTS["720p"], 6, 1)
    assert attachment_of(talking).step_cache is None


def easy_cache(
    model: "ModelPatcher", node: str = "EasyCacheNode", threshold: float = 100.0
) -> "ModelPatcher":
    from comfy_extras import nodes_easycache

    output = getattr(nodes_easycache, node).execute(model, threshold, 0.0, 1.0, verbose=False)
    return output.result[0]


@pytest.mark.parametrize(("text_scale", "branches"), [(1.0, 1), (5.0, 3)])
def test_the_host_s_easycache_leaves_out_steps_of_all_branches(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any, text_scale: float, branches: int
) -> None:
    counter, embeds = BlockCounter(talking), speech(tiny, FRAMES)
    scales = {"text_scale": text_scale, "audio_scale": 1.0 if branches == 1 else 4.0}
    play_windows(easy_cache(talking), vae, embeds, **MANY_STEPS, **scales)
    assert 0 < counter.runs < STEPS * branches
    assert counter.runs % branches == 0
    skipped = STEPS - counter.runs // branches
    assert skipped >= 3, "it learns from two or three steps, then leaves out"


@pytest.mark.parametrize("node", ["EasyCacheNode", "LazyCacheNode"])
def test_the_host_s_caches_give_finite_pictures_and_the_same_again(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any, node: str
) -> None:
    embeds = speech(tiny, 2 * FRAMES)
    model = easy_cache(talking, node)
    first = play_windows(model, vae, embeds, **MANY_STEPS)
    assert torch.isfinite(first).all()
    assert torch.equal(play_windows(model, vae, embeds, **MANY_STEPS), first)
    assert not torch.equal(play_windows(talking, vae, embeds, **MANY_STEPS), first)


def test_a_cache_s_settings_belong_to_the_run_s_identity(talking: "ModelPatcher") -> None:
    from evertalk_pack.nodes.host.run.identity import model_identity

    identities = [model_identity(easy_cache(talking, threshold=value)) for value in (0.2, 0.2, 0.3)]
    assert identities[0] == identities[1]
    assert identities[0] != identities[2]
