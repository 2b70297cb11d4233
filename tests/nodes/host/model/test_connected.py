"""What would be without effect is refused by name, before anything is sampled."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from tiny_host import TinyFiles, conditioning, load_model, picture, play_windows, speech, widgets

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host


def override(function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    return function(*args, **kwargs)


def put_override(model: "ModelPatcher") -> None:
    model.model_options["transformer_options"]["optimized_attention_override"] = override


def put_context_windows(model: "ModelPatcher") -> None:
    from comfy import context_windows as windows

    options: dict[str, Any] = model.model_options
    options["context_handler"] = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule("standard_static"),
        fuse_method=windows.get_matching_fuse_method("pyramid"),
        context_length=2,
        context_overlap=1,
    )


def put_guidance(model: "ModelPatcher") -> None:
    def rescaled(arguments: dict[str, Any]) -> torch.Tensor:
        return arguments["cond"]

    model.set_model_sampler_cfg_function(rescaled)


def put_guidance_afterwards(model: "ModelPatcher") -> None:
    def normed(arguments: dict[str, Any]) -> torch.Tensor:
        return arguments["denoised"]

    model.set_model_sampler_post_cfg_function(normed)


def put_block_forward(model: "ModelPatcher") -> None:
    model.add_object_patch("diffusion_model.blocks.1.cross_attn.forward", override)


def put_forward(model: "ModelPatcher") -> None:
    model.add_object_patch("diffusion_model.forward_orig", override)


def put_compiler(model: "ModelPatcher") -> None:
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    with warnings.catch_warnings(action="ignore"):  # the compiler warns of old parts of its own
        set_torch_compile_wrapper(model, backend="inductor")


REFUSED: dict[str, tuple[Callable[["ModelPatcher"], None], str]] = {
    "attention": (
        put_override,
        r"attention_mode: sdpa is chosen, and a node put another attention on the MODEL: override \(.*"
        r"test_connected\)\. Only one can run\. Choose attention_mode auto or comfy for the node's, or",
    ),
    "context windows": (
        put_context_windows,
        r"model: context windows are connected \(IndexListContextHandler",
    ),
    "guidance": (put_guidance, r"model: a node changes how guidance is made \(put_guidance \("),
    "guidance afterwards": (
        put_guidance_afterwards,
        r"model: a node changes how guidance is made \(put_guidance_after",
    ),
    "compiler": (put_compiler, r"model: a node has the MODEL compiled as a whole .*turn on compile_blocks"),
    "block's part": (
        put_block_forward,
        r"model: a node replaces diffusion_model\.blocks\.1\.cross_attn\.forward by its own \(override",
    ),
    "forward": (put_forward, r"model: a node replaces diffusion_model\.forward_orig by its own \(override"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_place_on_a_model_is_refused_before_it_is_sampled(
    tiny: TinyFiles, vae: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management

    model = load_model(tiny)
    put, message = REFUSED[what]
    put(model)

    def never(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("weights were loaded")

    embeds = speech(tiny, 9)
    monkeypatch.setattr(comfy.model_management, "load_models_gpu", never)
    with pytest.raises(InputError, match=message):
        play_windows(model, vae, embeds)


def play_with(tiny: TinyFiles, vae: Any, positive: dict[str, Any], negative: dict[str, Any]) -> None:
    from evertalk_pack.nodes.host.run.plan import PlanInputs, plan_run
    from evertalk_pack.nodes.host.run.request import SamplerWidgets
    from evertalk_pack.nodes.host.run.windowed_run import check_models, run_windows
    from evertalk_pack.nodes.host.sampling.comfy_backend import RunModels

    plan = plan_run(PlanInputs(SamplerWidgets.of(widgets()), speech(tiny, 9), picture(), has_negative=True))
    prompts = [
        [[text, {**values, **given}] for text, values in conditioning()] for given in (positive, negative)
    ]
    run_models = RunModels(load_model(tiny), vae, lambda _window: prompts[0], prompts[1], lambda _frame: None)
    run_windows(plan, run_models, check_models(plan, run_models))


@pytest.mark.parametrize("entry", ["control", "time_dim_concat", "context_latents"])
def test_what_has_no_place_in_a_prompt_is_refused(tiny: TinyFiles, vae: Any, entry: str) -> None:
    given = {entry: torch.zeros(1, 16, 1, 4, 4)}
    with pytest.raises(InputError, match=f"^positive: the prompt holds {entry}, which EverTalk's forward"):
        play_with(tiny, vae, given, {})
    with pytest.raises(InputError, match=f"^negative: the prompt holds {entry}, which EverTalk's forward"):
        play_with(tiny, vae, {}, given)


def test_a_reference_picture_is_refused_only_where_the_transformer_takes_it(
    tiny: TinyFiles, vae: Any
) -> None:
    from evertalk_pack.nodes.host.model.connected import check_prompt

    given = {"reference_latents": [torch.zeros(1, 16, 1, 4, 4)]}
    play_with(tiny, vae, given, {})
    tree = load_model(tiny).model.diffusion_model
    tree.ref_conv = torch.nn.Identity()
    with pytest.raises(InputError, match=r"positive: the prompt holds reference_latents"):
        check_prompt("positive", [[torch.zeros(1), given]], tree)


def test_a_forward_that_another_node_puts_there_in_the_call_is_refused(tiny: TinyFiles, vae: Any) -> None:
    from comfy.patcher_extension import WrappersMP

    def put(executor: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        tree = executor.class_obj.diffusion_model
        tree.forward_orig = override
        try:
            return executor(*args, **kwargs)
        finally:
            del tree.forward_orig

    model = load_model(tiny)
    model.add_wrapper(WrappersMP.APPLY_MODEL, put)
    with pytest.raises(
        InputError, match=r"model: a node replaces the transformer's forward by its own \(override"
    ):
        play_windows(model, vae, speech(tiny, 9))
    assert "forward_orig" not in vars(model.model.diffusion_model)


def test_inputs_that_a_node_gives_the_transformer_itself_are_refused(tiny: TinyFiles, vae: Any) -> None:
    from comfy.patcher_extension import WrappersMP

    def give(executor: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return executor(*args, context_latents=[torch.zeros(1, 36, 1, 4, 4)], **kwargs)

    model = load_model(tiny)
    model.wrappers[WrappersMP.DIFFUSION_MODEL] = {
        "a node": [give],
        **model.wrappers[WrappersMP.DIFFUSION_MODEL],
    }
    with pytest.raises(
        InputError, match=r"model: a node gives the transformer context_latents, which EverTalk"
    ):
        play_windows(model, vae, speech(tiny, 9))


def test_names_say_what_a_function_was_made_of(tiny: TinyFiles) -> None:
    from functools import partial

    from evertalk_pack.nodes.host.model.connected import name_of

    def made_of(inner: Any) -> Any:
        def made(*args: Any) -> Any:
            return inner(*args)

        return made

    assert name_of(made_of(override)).startswith("override (")
    assert name_of(partial(made_of(override), 1)).startswith("override (")
    assert name_of(made_of(tiny)).startswith("TinyFiles (")
    assert name_of(tiny) == "TinyFiles (tiny_host)"
    assert name_of(override).startswith("override (")
