"""A clone with modules of its own, as the host makes them for other GPUs, computes with those."""

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tiny_host import TinyFiles, load_model, play_windows, speech

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

FRAMES = 9
GUIDANCE = {"text_scale": 3.0, "audio_scale": 2.0}


def clone_with_its_own_modules(model: "ModelPatcher", tiny: TinyFiles) -> "ModelPatcher":
    from evertalk_pack.nodes.host.model.patcher import KEY

    clone, loaded = model.clone(), load_model(tiny)
    clone.model = loaded.model
    clone.set_additional_models(KEY, loaded.get_additional_models_with_key(KEY))
    return clone


def scale(model: "ModelPatcher", *, base: float = 1.0, talk: float = 1.0) -> None:
    """Scale a weight of the base model and one of the audio weights."""
    from evertalk_pack.nodes.host.model.patcher import KEY

    (audio,) = model.get_additional_models_with_key(KEY)
    with torch.no_grad():
        model.model.diffusion_model.blocks[0].ffn[2].weight.mul_(base)
        audio.model.blocks[0].audio_cross_attn.proj.weight.mul_(talk)


@pytest.mark.parametrize("change", [{"base": 2.0}, {"talk": 3.0}])
def test_a_clone_computes_with_its_own_modules(tiny: TinyFiles, vae: Any, change: dict[str, float]) -> None:
    embeds, model = speech(tiny, FRAMES), load_model(tiny)
    clone = clone_with_its_own_modules(model, tiny)
    plain = play_windows(model, vae, embeds)
    assert torch.equal(play_windows(clone, vae, embeds), plain)
    scale(clone, **change)
    loaded_anew = load_model(tiny)
    scale(loaded_anew, **change)
    changed = play_windows(clone, vae, embeds)
    assert torch.equal(changed, play_windows(loaded_anew, vae, embeds))
    assert (changed - plain).abs().max() > 1e-4
    assert torch.equal(play_windows(model, vae, embeds), plain), "the model itself is as it was"


def reloaded_by_the_host(model: "ModelPatcher", tiny: TinyFiles) -> None:
    """Tell the host how to load the parts of a MODEL again, as loaders for several GPUs do."""
    from evertalk_pack.nodes.host.model.patcher import KEY

    def base(**_options: Any) -> "ModelPatcher":
        return load_model(tiny)

    def talk(**_options: Any) -> "ModelPatcher":
        return load_model(tiny).get_additional_models_with_key(KEY)[0]

    for one, load in ((model, base), (model.get_additional_models_with_key(KEY)[0], talk)):
        vars(one)["cached_patcher_init"] = (load, ())


def test_branches_spread_over_two_devices_give_the_same_as_on_one(tiny: TinyFiles, vae: Any) -> None:
    embeds, model = speech(tiny, FRAMES), load_model(tiny)
    deepclone: Any = getattr(model, "deepclone_multigpu", None)
    if deepclone is None:
        pytest.skip("the host does not spread a model over GPUs")
    expected = play_windows(model, vae, embeds, **GUIDANCE)
    reloaded_by_the_host(model, tiny)
    second = deepclone(new_load_device=torch.device("cpu", 0))
    second.is_multigpu_base_clone = True
    spread = model.clone()
    spread.set_additional_models("multigpu", [second])
    calls = {"first": 0, "second": 0}

    def count(name: str) -> Any:
        def called(*_given: Any) -> None:
            calls[name] += 1

        return called

    hooks = [
        one.model.diffusion_model.patch_embedding.register_forward_pre_hook(count(name))
        for name, one in (("first", spread), ("second", second))
    ]
    given = play_windows(spread, vae, embeds, **GUIDANCE)
    for hook in hooks:
        hook.remove()
    assert torch.equal(given, expected)
    assert calls["first"] > 0
    assert calls["second"] > 0
    assert sum(calls.values()) == 3 * 4, "three branches in each of four steps"
