"""Names and shapes of the weights in the files that a run needs, at real size or tiny.

The models' own names, as their files carry them. Shapes that only a file tells (a norm's width) follow from
the sizes; nothing here needs ComfyUI or a GPU.
"""

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias

pack_alias.name_pack()
from evertalk_pack.multitalk.model.checkpoint import TalkConfig, talk_shapes  # noqa: E402

Shapes = dict[str, tuple[int, ...]]

TEXT_DIM, TEXT_TOKENS, TIME_DIM, CLIP_DIM, Z_DIM = 4096, 512, 256, 1280, 16
IN_CHANNELS, PATCH_VALUES = 36, 4
CLIP_LAYERS, CLIP_FFN, CLIP_PATCH_PX, CLIP_TOKENS, CLIP_OUT = 32, 5120, 14, 257, 1024
SPEECH_KERNELS = (10, 3, 3, 3, 3, 2, 2)
POSITION_KERNEL, POSITION_GROUPS = 128, 16
LORA_RANK = 64
LORA_PARTS = (
    *(f"self_attn.{part}" for part in "qkvo"),
    *(f"cross_attn.{part}" for part in ("q", "k", "v", "o", "k_img", "v_img")),
    "ffn.0",
    "ffn.2",
)


@dataclass(frozen=True, slots=True)
class FileSizes:
    """The sizes of one set of files.

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


REAL = FileSizes(5120, 13824, 40, 96, 512, 32, 768, 768, 3072, 12, 512)
TINY = FileSizes(256, 512, 2, 8, 64, 32, 64, 128, 256, 2, 32)


def linear(name: str, inputs: int, outputs: int) -> Shapes:
    """A layer with bias."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name: str, width: int) -> Shapes:
    """A norm with weight and bias."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def conv(name: str, inputs: int, outputs: int, *kernel: int) -> Shapes:
    """A convolution with bias."""
    return {f"{name}.weight": (outputs, inputs, *kernel), f"{name}.bias": (outputs,)}


def wan_shapes(sizes: FileSizes) -> Shapes:
    """Wan 2.1 image-to-video."""
    dim = sizes.dim
    shapes = conv("patch_embedding", IN_CHANNELS, dim, 1, 2, 2)
    shapes |= linear("text_embedding.0", TEXT_DIM, dim) | linear("text_embedding.2", dim, dim)
    shapes |= linear("time_embedding.0", TIME_DIM, dim) | linear("time_embedding.2", dim, dim)
    shapes |= linear("time_projection.1", dim, 6 * dim)
    shapes |= norm("img_emb.proj.0", CLIP_DIM) | linear("img_emb.proj.1", CLIP_DIM, CLIP_DIM)
    shapes |= linear("img_emb.proj.3", CLIP_DIM, dim) | norm("img_emb.proj.4", dim)
    for index in range(sizes.num_layers):
        block = f"blocks.{index}"
        shapes |= {f"{block}.modulation": (1, 6, dim)} | norm(f"{block}.norm3", dim)
        for attention in ("self_attn", "cross_attn"):
            for part in "qkvo":
                shapes |= linear(f"{block}.{attention}.{part}", dim, dim)
            shapes |= {f"{block}.{attention}.norm_{part}.weight": (dim,) for part in "qk"}
        for part in ("k_img", "v_img"):
            shapes |= linear(f"{block}.cross_attn.{part}", dim, dim)
        shapes |= {f"{block}.cross_attn.norm_k_img.weight": (dim,)}
        shapes |= linear(f"{block}.ffn.0", dim, sizes.ffn_dim) | linear(f"{block}.ffn.2", sizes.ffn_dim, dim)
    return shapes | linear("head.head", dim, Z_DIM * PATCH_VALUES) | {"head.modulation": (1, 2, dim)}


def audio_shapes(sizes: FileSizes) -> Shapes:
    """InfiniteTalk's weights for that base and that encoder."""
    return talk_shapes(
        TalkConfig(
            dim=sizes.dim,
            num_layers=sizes.num_layers,
            feature_dim=sizes.speech_layers * sizes.speech_dim,
            intermediate_dim=sizes.talk_hidden,
            context_tokens=sizes.talk_tokens,
            output_dim=sizes.talk_dim,
        )
    )


def lora_shapes(sizes: FileSizes) -> Shapes:
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


def speech_shapes(sizes: FileSizes) -> Shapes:
    """A wav2vec2 in the style of base."""
    dim, channels = sizes.speech_dim, sizes.speech_conv
    shapes = norm("feature_extractor.conv_layers.0.layer_norm", channels)
    for index, kernel in enumerate(SPEECH_KERNELS):
        name = f"feature_extractor.conv_layers.{index}.conv.weight"
        shapes[name] = (channels, channels if index else 1, kernel)
    shapes |= norm("feature_projection.layer_norm", channels)
    shapes |= linear("feature_projection.projection", channels, dim)
    shapes |= conv("encoder.pos_conv_embed.conv", dim // POSITION_GROUPS, dim, POSITION_KERNEL)
    shapes |= norm("encoder.layer_norm", dim)
    for index in range(sizes.speech_layers):
        name = f"encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{name}.attention.{part}", dim, dim)
        shapes |= linear(f"{name}.feed_forward.intermediate_dense", dim, sizes.speech_ffn)
        shapes |= linear(f"{name}.feed_forward.output_dense", sizes.speech_ffn, dim)
        shapes |= norm(f"{name}.layer_norm", dim) | norm(f"{name}.final_layer_norm", dim)
    return shapes


def clip_vision_shapes() -> Shapes:
    """CLIP vision H, which has one size only: ComfyUI knows it by its number of layers."""
    model = "vision_model"
    shapes = {
        f"{model}.embeddings.class_embedding": (CLIP_DIM,),
        "visual_projection.weight": (CLIP_OUT, CLIP_DIM),
    }
    patch = (CLIP_DIM, 3, CLIP_PATCH_PX, CLIP_PATCH_PX)
    shapes |= {f"{model}.embeddings.patch_embedding.weight": patch}
    shapes |= {f"{model}.embeddings.position_embedding.weight": (CLIP_TOKENS, CLIP_DIM)}
    shapes |= norm(f"{model}.pre_layrnorm", CLIP_DIM) | norm(f"{model}.post_layernorm", CLIP_DIM)
    for index in range(CLIP_LAYERS):
        name = f"{model}.encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{name}.self_attn.{part}", CLIP_DIM, CLIP_DIM)
        shapes |= linear(f"{name}.mlp.fc1", CLIP_DIM, CLIP_FFN) | linear(
            f"{name}.mlp.fc2", CLIP_FFN, CLIP_DIM
        )
        shapes |= norm(f"{name}.layer_norm1", CLIP_DIM) | norm(f"{name}.layer_norm2", CLIP_DIM)
    return shapes


def vae_shapes(sizes: FileSizes) -> Shapes:
    """The Wan 2.1 VAE."""
    narrow = sizes.vae_dim
    widths = (narrow, narrow, 2 * narrow, 4 * narrow, 4 * narrow)
    wide = widths[-1]
    shapes = conv("encoder.conv1", 3, narrow, 3, 3, 3) | conv("decoder.conv1", Z_DIM, wide, 3, 3, 3)
    shapes |= conv("conv1", 2 * Z_DIM, 2 * Z_DIM, 1, 1, 1) | conv("conv2", Z_DIM, Z_DIM, 1, 1, 1)
    shapes |= _down(widths) | _up((wide, wide, wide, 2 * narrow, narrow))
    for half, width, outputs in (("encoder", wide, 2 * Z_DIM), ("decoder", narrow, 3)):
        shapes |= _middle(f"{half}.middle", wide) | {f"{half}.head.0.gamma": (width, 1, 1, 1)}
        shapes |= conv(f"{half}.head.2", width, outputs, 3, 3, 3)
    return shapes


def _down(widths: tuple[int, ...]) -> Shapes:
    shapes: Shapes = {}
    index = 0
    for stage, (width_in, width) in enumerate(pairwise(widths)):
        for block in range(2):
            shapes |= _residual(f"encoder.downsamples.{index}", width if block else width_in, width)
            index += 1
        if stage < 3:
            name = f"encoder.downsamples.{index}"
            shapes |= conv(f"{name}.resample.1", width, width, 3, 3)
            if stage:
                shapes |= conv(f"{name}.time_conv", width, width, 3, 1, 1)
            index += 1
    return shapes


def _up(widths: tuple[int, ...]) -> Shapes:
    shapes: Shapes = {}
    index = 0
    for stage, (width_in, width) in enumerate(pairwise(widths)):
        entering = width_in // 2 if stage else width_in
        for block in range(3):
            shapes |= _residual(f"decoder.upsamples.{index}", width if block else entering, width)
            index += 1
        if stage < 3:
            name = f"decoder.upsamples.{index}"
            shapes |= conv(f"{name}.resample.1", width, width // 2, 3, 3)
            if stage < 2:
                shapes |= conv(f"{name}.time_conv", width, 2 * width, 3, 1, 1)
            index += 1
    return shapes


def _middle(name: str, width: int) -> Shapes:
    shapes = _residual(f"{name}.0", width, width) | _residual(f"{name}.2", width, width)
    shapes |= {f"{name}.1.norm.gamma": (width, 1, 1)} | conv(f"{name}.1.to_qkv", width, 3 * width, 1, 1)
    return shapes | conv(f"{name}.1.proj", width, width, 1, 1)


def _residual(name: str, inputs: int, width: int) -> Shapes:
    shapes: Shapes = {f"{name}.residual.0.gamma": (inputs, 1, 1, 1)}
    shapes |= {f"{name}.residual.3.gamma": (width, 1, 1, 1)}
    shapes |= conv(f"{name}.residual.2", inputs, width, 3, 3, 3)
    shapes |= conv(f"{name}.residual.6", width, width, 3, 3, 3)
    return shapes | (conv(f"{name}.shortcut", inputs, width, 1, 1, 1) if inputs != width else {})
