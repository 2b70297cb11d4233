"""Which models are the same, whatever the host has done with them meanwhile."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from quantised_files import remarked
from safetensors.torch import load_file, save_file
from tiny_host import TinyFiles, conditioning, load_model, picture, speech, widgets

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from evertalk_pack.multitalk.windows.plan import Window
    from evertalk_pack.nodes.host.sampling.comfy_backend import Prompt

pytestmark = pytest.mark.host

WEIGHT = "diffusion_model.blocks.0.self_attn.q.weight"


def identity(model: "ModelPatcher") -> str:
    from evertalk_pack.nodes.host.run.identity import model_identity

    return model_identity(model)


def always(prompt: list[Any]) -> "Prompt":
    def prompt_of(window: "Window") -> list[Any]:
        del window
        return prompt

    return prompt_of


def with_lora(model: "ModelPatcher", strength: float, seed: int = 0) -> "ModelPatcher":
    from comfy.weight_adapter.lora import LoRAAdapter

    generator = torch.Generator().manual_seed(seed)
    up, down = torch.randn(256, 4, generator=generator), torch.randn(4, 256, generator=generator)
    patched = model.clone()
    assert patched.add_patches({WEIGHT: LoRAAdapter(set(), (up, down, 4.0, None, None, None))}, strength)
    return patched


def test_model_that_is_loaded_again_is_the_same(tiny: TinyFiles) -> None:
    assert identity(load_model(tiny)) == identity(load_model(tiny))


def test_model_stays_the_same_while_a_lora_is_baked_into_its_weights(tiny: TinyFiles) -> None:
    import comfy.model_management

    model = with_lora(load_model(tiny), 0.8)
    before = identity(model)
    weight = model.model.state_dict()[WEIGHT].clone()
    comfy.model_management.load_models_gpu([model])
    assert not torch.equal(model.model.state_dict()[WEIGHT], weight), "the host patched it in place"
    assert identity(model) == before
    assert identity(with_lora(load_model(tiny), 0.8)) == before


def test_lora_its_strength_and_its_weights_make_another_model(tiny: TinyFiles) -> None:
    model = load_model(tiny)
    models = [model, with_lora(model, 0.8), with_lora(model, 0.7), with_lora(model, 0.8, seed=1)]
    assert len({identity(one) for one in models}) == 4


def test_another_precision_makes_another_model(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    forms = (Quantization.AS_STORED, Quantization.BF16, Quantization.FP8_E4M3FN, Quantization.FP8_ROWWISE)
    assert len({identity(load_base(tiny.base, form)[0]) for form in forms}) == len(forms)


def test_another_scale_of_the_same_quantised_weights_makes_another_model(
    tiny: TinyFiles, tmp_path: Path
) -> None:
    from evertalk_pack.nodes.host.compat.quantised import host_formats
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    if "float8_e4m3fn" not in host_formats():
        pytest.skip("this ComfyUI holds no scales inside of its weights")
    first = remarked(tiny.base, tmp_path / "first.safetensors", "float8_e4m3fn")
    weights = load_file(first)
    weights["blocks.0.ffn.0.weight_scale"] *= 2
    save_file(weights, tmp_path / "second.safetensors")
    files = (first, first, tmp_path / "second.safetensors")
    one, same, other = (identity(load_base(file, Quantization.AS_STORED)[0]) for file in files)
    assert one == same
    assert one != other


def test_another_weight_and_another_patch_make_another_model(tiny: TinyFiles) -> None:
    before = identity(load_model(tiny))
    changed = load_model(tiny)
    with torch.no_grad():
        changed.model.state_dict()[WEIGHT].mul_(1.5)
    patched = load_model(tiny)
    patched.add_object_patch("diffusion_model.some_patch", torch.nn.Identity())
    optioned = load_model(tiny)
    optioned.model_options["transformer_options"]["some_option"] = 0.5
    assert len({before, identity(changed), identity(patched), identity(optioned)}) == 4


class Patch:
    """As nodes write them: settings that it was given, a model, and what it remembers."""

    def __init__(self, strength: float, blocks: set[int], picture: torch.Tensor, model: Any = None) -> None:
        self.strength, self.blocks, self.picture, self.model = strength, blocks, picture, model
        self.calls, self.remembered = 0, [torch.zeros(1)]

    def __call__(self, arguments: dict[str, Any]) -> Any:
        self.calls += 1
        self.remembered.append(arguments["x"])
        return arguments["x"]


def override_of(patch: Patch, inner: Any = torch.sin, tau: float = 1.0) -> Any:
    calls: list[float] = []

    def override(function: Any, *given: Any, keep: float = tau, **options: Any) -> Any:
        calls.append(keep)
        return inner(patch(function(*given, **options)))

    return override


def test_what_a_node_s_patch_and_attention_were_made_with_make_another_model(tiny: TinyFiles) -> None:
    picture, other = torch.zeros(1, 4), load_model(tiny)
    changed = load_model(tiny)
    with torch.no_grad():
        changed.model.state_dict()[WEIGHT].mul_(1.5)
    patches = [
        Patch(1.0, {1}, picture),
        Patch(0.5, {1}, picture),
        Patch(1.0, {1, 2}, picture),
        Patch(1.0, {1}, picture + 1),
        Patch(1.0, {1}, picture, other),
        Patch(1.0, {1}, picture, changed),
    ]
    overrides = [
        *map(override_of, patches),
        override_of(patches[0], torch.cos),
        override_of(patches[0], tau=2.0),
        partial(override_of(patches[0]), keep=3.0),
    ]
    identities = [identity(load_model(tiny))]
    for patch in patches:
        for put in ("set_model_attn1_patch", "set_model_attn2_patch"):
            model = load_model(tiny)
            getattr(model, put)(patch)
            identities.append(identity(model))
    for override in overrides:
        model = load_model(tiny)
        model.model_options["transformer_options"]["optimized_attention_override"] = override
        identities.append(identity(model))
    wrapped = load_model(tiny)
    wrapped.add_wrapper_with_key("diffusion_model", "a node", override_of(patches[0]))
    identities.append(identity(wrapped))
    assert len(set(identities)) == len(identities)


def test_what_a_patch_remembers_of_a_run_does_not_make_another_model(tiny: TinyFiles) -> None:
    patch = Patch(1.0, {1}, torch.zeros(1, 4))
    model, override = load_model(tiny), override_of(patch)
    model.set_model_attn1_patch(patch)
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    before = identity(model)
    patch({"x": torch.ones(2)})
    override(lambda: {"x": torch.ones(2)})
    assert patch.calls == 2
    assert identity(model) == before


def test_weights_stay_where_they_are(tiny: TinyFiles) -> None:
    model = load_model(tiny)
    places = {name: (value.data_ptr(), value.device) for name, value in model.model.state_dict().items()}
    identity(model)
    assert places == {
        name: (value.data_ptr(), value.device) for name, value in model.model.state_dict().items()
    }


def test_every_input_of_a_run_enters_its_fingerprint(tiny: TinyFiles, vae: Any) -> None:
    from evertalk_pack.multitalk.windows.prompt_timeline import PromptTimeline
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.plan import PlanInputs, plan_run
    from evertalk_pack.nodes.host.run.request import SamplerWidgets
    from evertalk_pack.nodes.host.run.run_identity import identity_of
    from evertalk_pack.nodes.host.sampling.clip_vision import FixedClipVision
    from evertalk_pack.nodes.host.sampling.comfy_backend import RunModels

    model, prompt, embeds = load_model(tiny), conditioning(), speech(tiny, 21)

    def card(
        image: torch.Tensor | None = None,
        run_models: RunModels | None = None,
        end: torch.Tensor | None = None,
        **changed: Any,
    ) -> str:
        asked = SamplerWidgets.of(widgets(scheduler="infinitetalk", **changed))
        options = RunOptions(schedule=PromptTimeline(end_BHWC=end))
        shown = picture() if image is None else image
        plan = plan_run(PlanInputs(asked, embeds, shown, options, has_negative=True))
        return identity_of(plan, run_models or base).fingerprint

    base = RunModels(model, vae, always(prompt), conditioning(1), FixedClipVision(None))
    other_prompt = conditioning(2)
    different = [
        card(),
        card(seed=2),
        card(steps=3),
        card(shift=5.0),
        card(sampler_name="heun"),
        card(audio_scale=2.0),
        card(width=48),
        card(window_frames=13),
        card(image=picture().flip(1)),
        card(end=picture().flip(1)),
        card(end=picture().flip(2)),
        card(run_models=replace(base, prompt=always(other_prompt))),
        card(run_models=replace(base, negative=conditioning(3))),
        card(run_models=replace(base, model=with_lora(model, 0.5))),
        card(run_models=replace(base, model=load_model(tiny, mode="multitalk"))),
    ]
    assert len(set(different)) == len(different)
    assert card() == different[0]
    assert card(filename_prefix="EverTalk/other", resume="restart") == different[0]
