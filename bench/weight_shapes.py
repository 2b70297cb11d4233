"""Names and shapes of the weights in the files that a run needs, at real size or tiny.

They are those of the classes that load such files, ComfyUI's and the pack's own, made without memory; so a
ComfyUI is needed, and no GPU.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias

pack_alias.name_pack()
from evertalk_pack.multitalk.model.checkpoint import TalkConfig, talk_shapes  # noqa: E402
from evertalk_pack.multitalk.speech.config import HEAD_DIM, SpeechEncoderConfig  # noqa: E402
from evertalk_pack.multitalk.speech.encoder import SpeechEncoder  # noqa: E402

Shapes = dict[str, tuple[int, ...]]

TEXT_DIM, TEXT_TOKENS, Z_DIM, WAN_HEAD_DIM = 4096, 512, 16, 128
IN_CHANNELS = 36
CLIP_CONFIG = "clip_vision_config_h.json"
"""ComfyUI's own, of the one size that it knows by its number of layers."""

LORA_RANK = 64
LORA_PARTS = (
    *(f"self_attn.{part}" for part in "qkvo"),
    *(f"cross_attn.{part}" for part in ("q", "k", "v", "o", "k_img", "v_img")),
    "ffn.0",
    "ffn.2",
)
META = torch.device("meta")


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """The sizes of one set of models.

    Attributes:
        dim, ffn_dim, num_layers: of the transformer (Wan 2.1 I2V).
        vae_dim: narrowest width of the VAE.
        talk_hidden, talk_tokens, talk_dim: the audio projector's width, tokens a frame, and their width.
        speech_dim, speech_ffn, speech_layers, speech_conv: of the wav2vec2.
    """

    dim: int
    ffn_dim: int
    num_layers: int
    vae_dim: int
    talk_hidden: int
    talk_tokens: int
    talk_dim: int
    speech_dim: int
    speech_ffn: int
    speech_layers: int
    speech_conv: int

    @property
    def num_heads(self) -> int:
        """Attention heads of the transformer."""
        return self.dim // WAN_HEAD_DIM

    @property
    def talk(self) -> TalkConfig:
        """InfiniteTalk's weights for that base and that encoder."""
        return TalkConfig(
            dim=self.dim,
            num_layers=self.num_layers,
            feature_dim=self.speech_layers * self.speech_dim,
            intermediate_dim=self.talk_hidden,
            context_tokens=self.talk_tokens,
            output_dim=self.talk_dim,
        )


REAL = ModelSizes(5120, 13824, 40, 96, 512, 32, 768, 768, 3072, 12, 512)
TINY = ModelSizes(256, 512, 2, 8, 64, 32, 64, 128, 256, 2, 32)


def speech_config(dim: int, ffn_dim: int, num_layers: int, conv_channels: int) -> SpeechEncoderConfig:
    """A wav2vec2 in the style of base."""
    return SpeechEncoderConfig(
        conv_channels=(conv_channels,) * 7,
        conv_kernels=(10, 3, 3, 3, 3, 2, 2),
        conv_bias=False,
        feature_norm="group",
        stable_layer_norm=False,
        dim=dim,
        ffn_dim=ffn_dim,
        num_layers=num_layers,
        num_heads=dim // HEAD_DIM,
        position_kernel=128,
        position_groups=16,
        normalise_input=False,
    )


def wan_config(sizes: ModelSizes) -> dict[str, Any]:
    """Wan 2.1 image-to-video, as ComfyUI says it."""
    return {
        "image_model": "wan2.1",
        "model_type": "i2v",
        "dim": sizes.dim,
        "ffn_dim": sizes.ffn_dim,
        "num_heads": sizes.num_heads,
        "num_layers": sizes.num_layers,
        "text_dim": TEXT_DIM,
        "in_dim": IN_CHANNELS,
        "out_dim": Z_DIM,
    }


def wan_shapes(sizes: ModelSizes) -> Shapes:
    """Wan 2.1 image-to-video."""
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    operations = comfy.ops.disable_weight_init
    return _shapes_of(WanModel(**wan_config(sizes), device=META, operations=operations))


def audio_shapes(sizes: ModelSizes) -> Shapes:
    """InfiniteTalk's weights."""
    return talk_shapes(sizes.talk)


def lora_shapes(sizes: ModelSizes) -> Shapes:
    """A LoRA of rank 64 on every matrix of every block."""
    matrices = wan_shapes(sizes)
    shapes: Shapes = {}
    for index in range(sizes.num_layers):
        for part in LORA_PARTS:
            outputs, inputs = matrices[f"blocks.{index}.{part}.weight"]
            name = f"diffusion_model.blocks.{index}.{part}"
            shapes[f"{name}.lora_down.weight"] = (LORA_RANK, inputs)
            shapes[f"{name}.lora_up.weight"] = (outputs, LORA_RANK)
    return shapes


def speech_shapes(sizes: ModelSizes) -> Shapes:
    """A wav2vec2 in the style of base."""
    config = speech_config(sizes.speech_dim, sizes.speech_ffn, sizes.speech_layers, sizes.speech_conv)
    with META:
        return _shapes_of(SpeechEncoder(config))


def clip_vision_shapes() -> Shapes:
    """CLIP vision H."""
    import comfy.clip_model
    import comfy.ops

    config = json.loads(Path(comfy.clip_model.__file__).with_name(CLIP_CONFIG).read_text(encoding="utf-8"))
    operations = comfy.ops.disable_weight_init
    return _shapes_of(comfy.clip_model.CLIPVisionModelProjection(config, torch.float16, META, operations))


def vae_shapes(sizes: ModelSizes) -> Shapes:
    """The Wan 2.1 VAE."""
    with META:
        return _shapes_of(wan_vae_module(sizes.vae_dim))


def wan_vae_module(dim: int) -> nn.Module:
    """ComfyUI's Wan 2.1 VAE, as narrow as that."""
    from comfy.ldm.wan.vae import WanVAE

    return WanVAE(dim=dim, z_dim=Z_DIM, temperal_downsample=[False, True, True])


def _shapes_of(module: nn.Module) -> Shapes:
    return {name: tuple(weight.shape) for name, weight in module.state_dict().items()}
