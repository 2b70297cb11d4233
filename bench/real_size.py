"""Builds the models at their real size from random weights, on the GPU, through the host's own classes.

Random weights take the time and memory that real ones take; their pictures are noise.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import comfy.model_management
import comfy.ops
import comfy.sd
import torch
from comfy.model_base import WAN21
from comfy.model_patcher import ModelPatcher
from comfy.supported_models import WAN21_I2V
from evertalk_pack.multitalk.common.layers import Layers
from evertalk_pack.multitalk.model.audio_model import AudioModel
from evertalk_pack.nodes.host.compat.precision import note_precision
from evertalk_pack.nodes.host.model.backend import RunAttention, backend_for
from evertalk_pack.nodes.host.model.loaders import layers_over_tokens, multiply_in_fp8
from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk
from evertalk_pack.nodes.host.model.rowwise_fp8 import RowwiseFp8, quantised_rows
from evertalk_pack.nodes.host.model.talking_model import audio_in_fp8
from rows import WEIGHTS, emit
from torch import nn
from weight_shapes import REAL, ModelSizes, wan_config, wan_vae_module

WEIGHT_STD = 0.02

TINY = replace(REAL, dim=256, ffn_dim=512, num_layers=2, vae_dim=16)
"""A transformer and a VAE that a CPU runs; what is made for speech is as wide as in the real ones."""


def fill(module: nn.Module) -> None:
    """Random weights of a plausible size; norms near 1."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad = False
        if parameter.dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
            noise = torch.randn(parameter.shape, device=parameter.device, dtype=torch.bfloat16)
            parameter.data.copy_((noise * WEIGHT_STD).to(parameter.dtype))
        elif "norm" in name and name.endswith("weight"):
            parameter.data.fill_(1)
        else:
            parameter.data.normal_(0, WEIGHT_STD)


def wan_model(size: ModelSizes, dtype: torch.dtype, device: torch.device, *, form: str = "") -> ModelPatcher:
    """A MODEL of the host with random weights of `dtype`, computed in bf16 where dtype is fp8.

    `form` "fp8_e4m3fn_fast" has the host multiply in fp8, "fp8_rowwise" the pack.
    """
    settings: Any = WAN21_I2V(wan_config(size))
    is_fp8 = dtype in (torch.float8_e4m3fn, torch.float8_e5m2)
    settings.set_inference_dtype(dtype, torch.bfloat16 if is_fp8 else None)
    settings.optimizations["fp8"] = form == "fp8_e4m3fn_fast"
    if form == "fp8_rowwise":
        settings.custom_operations = RowwiseFp8
    model = WAN21(settings, image_to_video=True, device=device)
    tree: Any = model.diffusion_model
    fill(tree)
    for layer in tree.blocks.modules():
        if isinstance(layer, RowwiseFp8.Linear):
            layer.hold(*quantised_rows(layer.weight))
    return ModelPatcher(model.eval(), device, device)


def talk_patcher(
    size: ModelSizes, dtype: torch.dtype, device: torch.device, *, in_fp8: bool = False
) -> ModelPatcher:
    """Random audio weights for a base of this size; `in_fp8` as the loader has it where the base's are."""
    talk = AudioModel(size.talk, Layers(comfy.ops.manual_cast, dtype, device)).eval()
    fill(talk)
    if in_fp8:
        state = talk.state_dict()
        multiply_in_fp8(talk, state, layers_over_tokens(size.talk))
        talk.load_state_dict(state, assign=True)
        note_precision(talk.to(device))
    return ModelPatcher(talk, device, device)


def talking(
    model: ModelPatcher, talk: ModelPatcher, attention_mode: str, *, compile_blocks: bool
) -> ModelPatcher:
    """The MODEL with audio weights on it."""
    attachment = AudioAttachment("random weights", "infinitetalk", attention_mode, talk, compile_blocks)
    return apply_talk(model, attachment)


def sizes_of(arguments: argparse.Namespace) -> ModelSizes:
    """The sizes that the command line asks for."""
    return TINY if arguments.tiny else REAL


def asked_model(
    arguments: argparse.Namespace,
    size: ModelSizes,
    *,
    placed: Callable[[ModelPatcher], ModelPatcher] = lambda patcher: patcher,
) -> ModelPatcher:
    """The MODEL that the command line asks for, on its device.

    The audio weights' large products are fp8 ones where the base's are, as the loader has it.

    Args:
        arguments: of rows.add_model.
        size: of the models.
        placed: puts base and audio weights elsewhere.
    """
    device, dtype = arguments.device, WEIGHTS[arguments.weights]
    base = wan_model(size, dtype, device, form=arguments.weights)
    in_fp8 = audio_in_fp8(base)
    base = placed(base)
    talk_dtype = torch.float32 if dtype is torch.float32 else torch.bfloat16
    talk = talk_patcher(size, talk_dtype, device, in_fp8=in_fp8)
    return talking(base, placed(talk), arguments.attention, compile_blocks=arguments.compile)


def loaded(model: ModelPatcher, attention: str) -> RunAttention:
    """Bring a MODEL to its device; what attends there, which is printed."""
    comfy.model_management.load_models_gpu([model, *model.get_nested_additional_models()])
    backend = backend_for(model, attention)
    emit({"what": "attention", "ran": backend.choice.ran, "notes": backend.choice.notes})
    return backend


def wan_vae(size: ModelSizes, device: torch.device) -> Any:
    """The host's VAE with random weights."""
    module = wan_vae_module(size.vae_dim).to(device)
    fill(module)
    return comfy.sd.VAE(sd=module.state_dict())
