"""From the names and forms in which wav2vec2 checkpoints circulate to a loaded encoder."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from ..common.errors import ModelFileError
from ..common.layers import Layers
from .config import config_of
from .encoder import SpeechEncoder

PREFIX = "wav2vec2."
"""Before the names of weights in checkpoints with a head (speech recognition, pretraining)."""

POSITION_CONV = "encoder.pos_conv_embed.conv."

WEIGHT_NORM_NAMES = (
    ("weight_g", "weight_v"),  # torch.nn.utils.weight_norm
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),  # torch >= 2.1
)

UNUSED = ("masked_spec_embed", "lm_head.", "quantizer.", "project_hid.", "project_q.", "dropout_features.")
"""Parts of wav2vec2 that only its training and its speech recognition need."""

OTHER_KINDS = (
    ("model.encoder.embed_positions.weight", "a Whisper encoder"),
    ("encoder.embed_positions.weight", "a Whisper encoder"),
    ("hubert.", "a HuBERT encoder"),
    ("wavlm.", "a WavLM encoder"),
    ("encoder.layers.0.attention.rel_attn_embed", "a WavLM encoder"),
    ("data2vec_audio.", "a data2vec encoder"),
    ("audio_proj.", "InfiniteTalk or MultiTalk weights"),
    ("lora_", "a LoRA"),
    ("text_model.", "a CLIP text encoder"),
    ("vision_model.", "a CLIP vision encoder"),
    ("encoder.block.0.", "a T5 text encoder"),
    ("blocks.0.self_attn.q.weight", "a Wan video model"),
    ("token_embedding.weight", "a T5 text encoder"),
    ("decoder.middle.", "a VAE"),
    ("decoder.mid.", "a VAE"),
    ("model.diffusion_model.", "a diffusion model"),
    ("diffusion_model.", "a diffusion model"),
)
"""A part of a weight's name, and what a file with such a weight is."""

NEEDED = (
    "feature_extractor.conv_layers.0.conv.weight",
    "feature_projection.projection.weight",
    "encoder.pos_conv_embed.conv.bias",
    "encoder.layers.0.attention.q_proj.weight",
    "encoder.layers.0.feed_forward.intermediate_dense.weight",
    "encoder.layer_norm.weight",
)
"""What every wav2vec2 has, in any of its forms."""


def check_names(names: Collection[str], source: str) -> None:
    """Refuse a file by its weights' names alone, before they are read.

    Raises:
        ModelFileError: it is not a wav2vec2; the message says what it is instead.
    """
    prefix = PREFIX if any(name.startswith(PREFIX) for name in names) else ""
    if any(prefix + name not in names for name in NEEDED):
        raise ModelFileError(
            f"{source} is {kind_of_file(names)}, not a wav2vec2 speech encoder; choose for example "
            "chinese-wav2vec2-base as .safetensors, in models/audio_encoders or models/wav2vec2"
        )


def clean_weights(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's own weights in float32, without prefix, the position convolution's norm folded in."""
    has_prefix = any(name.startswith(PREFIX) for name in weights)
    clean = {
        name.removeprefix(PREFIX): value.float()
        for name, value in weights.items()
        if (name.startswith(PREFIX) or not has_prefix) and not name.removeprefix(PREFIX).startswith(UNUSED)
    }
    for size_name, direction_name in WEIGHT_NORM_NAMES:
        size = clean.pop(POSITION_CONV + size_name, None)
        direction = clean.pop(POSITION_CONV + direction_name, None)
        if size is not None and direction is not None:
            # one size for each place in the kernel, over all channels
            length = direction.norm(dim=(0, 1), keepdim=True)
            clean[POSITION_CONV + "weight"] = direction * (size / length)
    return clean


def speech_encoder_from(
    weights: Mapping[str, torch.Tensor],
    source: str,
    operations: Any = nn,
    device: torch.device | None = None,
    num_heads: int | None = None,
) -> SpeechEncoder:
    """Builds the encoder that a checkpoint holds and loads its weights, in float32.

    Args:
        weights: the checkpoint as it was read.
        source: what messages call the file.
        operations: what the encoder is built of, see Layers.
        device: where its weights are kept.
        num_heads: attention heads, if they have not the usual 64 channels.

    Raises:
        ModelFileError: it is not a wav2vec2, or weights are missing, misshapen or too many.
    """
    check_names(weights.keys(), source)
    clean = clean_weights(weights)
    try:
        config = config_of(clean, num_heads)
    except (ValueError, LookupError) as error:  # a shape with too few axes, no position kernel
        raise ModelFileError(
            f"{source} has weights that are not shaped like a wav2vec2's ({error}); download the file again, "
            "or choose another encoder"
        ) from error
    # Compared with a tree of PyTorch's own layers: a host's may hold no weights until they are loaded.
    expected = SpeechEncoder(config, Layers(nn, torch.float32, torch.device("meta"))).state_dict()
    unfit = sorted(
        name for name in expected.keys() | clean.keys() if not _fits(expected.get(name), clean.get(name))
    )
    if unfit:
        raise ModelFileError(
            f"{source} is not a plain wav2vec2 speech encoder: {len(unfit)} weights are missing, unknown or "
            f"of another shape, first {unfit[0]}; download the file again, or choose another encoder"
        )
    encoder = SpeechEncoder(config, Layers(operations, torch.float32, device))
    encoder.load_state_dict(clean)
    return encoder.eval().requires_grad_(requires_grad=False)


def kind_of_file(names: Collection[str]) -> str:
    """What a file with weights of these names most likely is, in words for a message."""
    for part, kind in OTHER_KINDS:
        if any(part in name for name in names):
            return kind
    some = ", ".join(sorted(names)[:3])
    return f"of an unknown kind (weights such as {some})" if some else "an empty file"


def _fits(expected: torch.Tensor | None, given: torch.Tensor | None) -> bool:
    return expected is not None and given is not None and expected.shape == given.shape
