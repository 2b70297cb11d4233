"""Builds the models at their real size from random weights, on the GPU, through the host's own classes.

Random weights take the time and memory that real ones take; their pictures are noise.
"""

from dataclasses import dataclass
from typing import Any

import comfy.ops
import comfy.sd
import torch
from comfy.ldm.wan.vae import WanVAE
from comfy.model_base import WAN21
from comfy.model_patcher import ModelPatcher
from comfy.supported_models import WAN21_I2V
from evertalk_pack.multitalk.common.layers import Layers
from evertalk_pack.multitalk.model.audio_model import AudioModel
from evertalk_pack.multitalk.model.checkpoint import TalkConfig
from evertalk_pack.nodes.host.compat.precision import note_precision
from evertalk_pack.nodes.host.model.loaders import layers_over_tokens, multiply_in_fp8
from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk
from evertalk_pack.nodes.host.model.rowwise_fp8 import RowwiseFp8, quantised_rows
from torch import nn

WEIGHT_STD = 0.02
SPEECH_LAYERS, SPEECH_CHANNELS = 12, 768


@dataclass(frozen=True)
class WanSize:
    """Dimensions of a Wan 2.1 image-to-video transformer."""

    dim: int
    ffn_dim: int
    num_heads: int
    num_layers: int
    vae_dim: int


REAL = WanSize(dim=5120, ffn_dim=13824, num_heads=40, num_layers=40, vae_dim=96)
TINY = WanSize(dim=256, ffn_dim=512, num_heads=2, num_layers=2, vae_dim=16)


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


def wan_model(size: WanSize, dtype: torch.dtype, device: torch.device, *, form: str = "") -> ModelPatcher:
    """A MODEL of the host with random weights of `dtype`, computed in bf16 where dtype is fp8.

    `form` "fp8_e4m3fn_fast" has the host multiply in fp8, "fp8_rowwise" the pack.
    """
    settings: Any = WAN21_I2V(
        {
            "image_model": "wan2.1",
            "model_type": "i2v",
            "dim": size.dim,
            "ffn_dim": size.ffn_dim,
            "num_heads": size.num_heads,
            "num_layers": size.num_layers,
            "text_dim": 4096,
            "in_dim": 36,
            "out_dim": 16,
        }
    )
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
    size: WanSize, dtype: torch.dtype, device: torch.device, *, in_fp8: bool = False
) -> ModelPatcher:
    """Random audio weights for a base of this size; `in_fp8` as the loader has it where the base's are."""
    config = TalkConfig(
        dim=size.dim,
        num_layers=size.num_layers,
        feature_dim=SPEECH_LAYERS * SPEECH_CHANNELS,
        intermediate_dim=512,
        context_tokens=32,
        output_dim=768,
    )
    talk = AudioModel(config, Layers(comfy.ops.manual_cast, dtype, device)).eval()
    fill(talk)
    if in_fp8:
        state = talk.state_dict()
        multiply_in_fp8(talk, state, layers_over_tokens(config))
        talk.load_state_dict(state, assign=True)
        note_precision(talk.to(device))
    return ModelPatcher(talk, device, device)


def talking(
    model: ModelPatcher, talk: ModelPatcher, attention_mode: str, *, compile_blocks: bool
) -> ModelPatcher:
    """The MODEL with audio weights on it."""
    attachment = AudioAttachment("random weights", "infinitetalk", attention_mode, talk, compile_blocks)
    return apply_talk(model, attachment)


def wan_vae(size: WanSize, device: torch.device) -> Any:
    """The host's VAE with random weights."""
    module = WanVAE(dim=size.vae_dim, z_dim=16, temperal_downsample=[False, True, True]).to(device)
    fill(module)
    return comfy.sd.VAE(sd=module.state_dict())
