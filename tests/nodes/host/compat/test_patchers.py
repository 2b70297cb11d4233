"""Whose hands a model is put into, and how the host gets a copy of its own."""

from typing import Any

import pytest
import torch
from tiny_host import TinyFiles

pytestmark = pytest.mark.host


def load_talk(tiny: TinyFiles, **options: Any) -> Any:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk

    return load_talk(tiny.talk, check_talk_file(tiny.talk, None), **options)


def load_base(tiny: TinyFiles, form: str, **options: Any) -> Any:
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    return load_base(tiny.base, Quantization(form), **options)[0]


def reloads(patcher: Any) -> Any:
    """How the host loads this model again, or a skip where it never does."""
    if not hasattr(patcher, "cached_patcher_init"):
        pytest.skip("this ComfyUI loads no model a second time")
    return patcher.cached_patcher_init


def same_weights(one: Any, other: Any) -> bool:
    first, second = one.model.state_dict(), other.model.state_dict()
    return first.keys() == second.keys() and all(
        first[name].dtype is second[name].dtype and torch.equal(first[name].float(), second[name].float())
        for name in first
    )


def test_the_audio_weights_can_be_loaded_once_more(tiny: TinyFiles) -> None:
    talk = load_talk(tiny)
    factory, arguments = reloads(talk)
    for again in (factory(*arguments), factory(*arguments, disable_dynamic=True)):
        assert again.model is not talk.model
        assert same_weights(again, talk)


@pytest.mark.parametrize("form", ["as stored", "bf16", "fp8_e4m3fn", "fp8_rowwise"])
def test_a_base_is_loaded_once_more_as_it_was_asked_for(tiny: TinyFiles, form: str) -> None:
    base = load_base(tiny, form)
    factory, arguments = reloads(base)
    again = factory(*arguments, disable_dynamic=True)
    assert again.model is not base.model
    assert same_weights(again, base)
    kinds = [type(patcher.model.diffusion_model.blocks[0].self_attn.q) for patcher in (base, again)]
    assert kinds[0].__qualname__ == kinds[1].__qualname__


def test_the_host_makes_a_whole_copy_for_another_gpu(tiny: TinyFiles) -> None:
    from tiny_host import load_model

    model: Any = load_model(tiny)
    if not hasattr(model, "deepclone_multigpu"):
        pytest.skip("this ComfyUI copies no model to another GPU")
    copy = model.deepclone_multigpu(torch.device("cpu"))
    assert copy.model is not model.model
    (talk,), (copied,) = (one.get_additional_models_with_key("evertalk") for one in (model, copy))
    assert copied.model is not talk.model
    assert same_weights(copied, talk)


@pytest.mark.parametrize("dynamic", [True, False])
def test_what_dynamic_vram_must_leave_alone_is_held_plainly(
    tiny: TinyFiles, monkeypatch: pytest.MonkeyPatch, dynamic: bool
) -> None:
    import comfy.model_patcher
    from comfy.model_patcher import ModelPatcher

    if not hasattr(comfy.model_patcher, "CoreModelPatcher"):
        pytest.skip("this ComfyUI has no dynamic VRAM")

    class Core(ModelPatcher):
        """As the server puts it there when it knows the GPU."""

    monkeypatch.setattr(comfy.model_patcher, "CoreModelPatcher", Core)
    wanted = Core if dynamic else ModelPatcher
    assert type(load_talk(tiny, dynamic=dynamic)) is wanted
    assert type(load_base(tiny, "as stored", dynamic=dynamic)) is wanted
