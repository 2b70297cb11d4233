"""What other nodes put on a MODEL or a prompt that EverTalk's forward and guider have no place for.

All else that nodes put there acts as it does on the host's own Wan. These would be without effect, so they
are refused by name, before weights load where they can be seen by then.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from torch import nn

from ....attention.registry import AUTO, COMFY
from ....multitalk.common.errors import InputError
from .attention import override_of

CONTEXT_WINDOWS = "context_handler"
"""The host's entry in a MODEL's options for context windows."""

GUIDANCE_FUNCTIONS = (
    "sampler_cfg_function",
    "sampler_pre_cfg_function",
    "sampler_post_cfg_function",
    "sampler_calc_cond_batch_function",
)
"""The host's entries in a MODEL's options for functions that take the place of its guidance."""

COMPILED = "torch.compile"
"""The host's key of the wrapper with which nodes have a MODEL compiled."""

REPLACED_PARTS = re.compile(
    r"diffusion_model\.(forward_orig|unpatchify|(blocks\.\d+(\.(self_attn|cross_attn))?|head)(\.forward)?)"
)
"""Parts of the transformer whose arithmetic is EverTalk's own: only their layers are the host's."""

PROMPT_INPUTS = ("control", "time_dim_concat", "context_latents")
"""Entries of a CONDITIONING that Wan takes in other workflows: a ControlNet, and latents after or beside the
video's."""

REFERENCE = "reference_latents"
"""The same, for a Wan that was made with a layer for it: a reference picture."""


def check_model(model: ModelPatcher, attention_mode: str) -> None:
    """Refuse a MODEL with something connected that would be without effect.

    Raises:
        InputError: names it, and says what to do.
    """
    check_attention(model, attention_mode)
    options = model.model_options
    if CONTEXT_WINDOWS in options:
        raise InputError(
            f"model: context windows are connected ({name_of(options[CONTEXT_WINDOWS])}). EverTalk plays a "
            "video of any length in windows of its own, each with the speech that belongs to it. Remove the "
            "context windows node, and set window_frames instead."
        )
    for entry in GUIDANCE_FUNCTIONS:
        if options.get(entry):
            raise InputError(
                f"model: a node changes how guidance is made ({names_of(options[entry])}). EverTalk weighs "
                "text against audio itself, so that node would be without effect. Remove it, and use "
                "EverTalk Guidance."
            )
    if model.get_wrappers(WrappersMP.APPLY_MODEL, COMPILED):
        raise InputError(
            "model: a node has the MODEL compiled as a whole (TorchCompileModel), but EverTalk's blocks have "
            "graphs of their own. Remove the node, and turn on compile_blocks."
        )
    for name, part in model.object_patches.items():
        if REPLACED_PARTS.fullmatch(name):
            raise InputError(
                f"model: a node replaces {name} by its own ({name_of(part)}), but EverTalk computes that "
                "itself, together with the audio. Remove the node in front of EverTalk's sampler."
            )


def check_attention(model: ModelPatcher, attention_mode: str) -> None:
    """Refuse two attentions, where only one can run.

    Raises:
        InputError: names both.
    """
    override = override_of(model.model_options["transformer_options"])
    if override is None or attention_mode in (AUTO, COMFY):
        return
    raise InputError(
        f"attention_mode: {attention_mode} is chosen, and a node put another attention on the MODEL: "
        f"{name_of(override)}. Only one can run. Choose attention_mode auto or comfy for the node's, or "
        f"remove the node for {attention_mode}."
    )


def check_prompt(socket: str, conditioning: list[Any] | None, tree: nn.Module) -> None:
    """Refuse a CONDITIONING that holds inputs that EverTalk's forward does not take.

    Raises:
        InputError: names the socket and the input.
    """
    takes_reference = getattr(tree, "ref_conv", None) is not None
    for _, values in conditioning or ():
        for entry in (*PROMPT_INPUTS, *((REFERENCE,) if takes_reference else ())):
            if values.get(entry) is not None:
                raise InputError(
                    f"{socket}: the prompt holds {entry}, which EverTalk's forward has no place for. Connect "
                    "the prompt as it comes from the text encoder."
                )


def check_call(tree: nn.Module, time_dim_concat: object, inputs: Mapping[str, Any]) -> None:
    """Refuse in the call itself what could not be seen before.

    Raises:
        InputError: another node gave the transformer a forward of its own, or inputs that it alone takes.
    """
    foreign = vars(tree).get("forward_orig")
    if foreign is not None:
        raise InputError(
            f"model: a node replaces the transformer's forward by its own ({name_of(foreign)}), but EverTalk "
            "computes that itself, together with the audio. Remove the node in front of EverTalk's sampler."
        )
    given = {"time_dim_concat": time_dim_concat, "context_latents": inputs.get("context_latents")}
    if getattr(tree, "ref_conv", None) is not None:
        given["reference_latent"] = inputs.get("reference_latent")
    for name, value in given.items():
        if value is not None:
            raise InputError(
                f"model: a node gives the transformer {name}, which EverTalk's forward has no place for. "
                "Remove the node in front of EverTalk's sampler."
            )


def names_of(functions: Any) -> str:
    """The names of one function or of several."""
    return ", ".join(name_of(one) for one in functions) if isinstance(functions, list) else name_of(functions)


def name_of(function: Any) -> str:
    """How a function or an object of another node is called, and where it comes from.

    Of a function that was made by another one, the maker's name tells more, and what it was made of.
    """
    while isinstance(function, partial):
        function = function.func
    maker, _, own = str(getattr(function, "__qualname__", type(function).__qualname__)).partition(
        ".<locals>."
    )
    inner = [str(getattr(one, "__name__", type(one).__name__)) for one in enclosed(function)] if own else []
    module = getattr(function, "__module__", type(function).__module__)
    return f"{', '.join(inner) or maker} ({module})"


def enclosed(function: Any) -> Iterator[Any]:
    """What a function was made of: the functions and objects of others in its closure."""
    for cell in getattr(function, "__closure__", None) or ():
        value = cell.cell_contents
        if callable(value) or type(value).__module__ != "builtins":
            yield value
