"""A tiny speech encoder in the form of chinese-wav2vec2-base: group norm, LayerNorm after each part."""

import torch

from .transformer import Weights, linear, norm, normal

HIDDEN = 128
NUM_LAYERS = 2
FEED_FORWARD = 256
CONV_CHANNELS = 32
CONV_KERNELS = (10, 3, 3, 3, 3, 2, 2)
POSITION_KERNEL = 128
POSITION_GROUPS = 16


def make_speech_encoder(generator: torch.Generator) -> Weights:
    """Random weights with the names of HF's Wav2Vec2Model, spread so that no layer drowns the sound."""
    weights = _feature_extractor(generator) | norm("feature_projection.layer_norm", CONV_CHANNELS)
    weights |= linear(generator, "feature_projection.projection", CONV_CHANNELS, HIDDEN)
    weights |= _position(generator) | norm("encoder.layer_norm", HIDDEN)
    for index in range(NUM_LAYERS):
        name = f"encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            weights |= linear(generator, f"{name}.attention.{part}", HIDDEN, HIDDEN)
        weights |= linear(generator, f"{name}.feed_forward.intermediate_dense", HIDDEN, FEED_FORWARD)
        weights |= linear(generator, f"{name}.feed_forward.output_dense", FEED_FORWARD, HIDDEN)
        weights |= norm(f"{name}.layer_norm", HIDDEN) | norm(f"{name}.final_layer_norm", HIDDEN)
    weights["masked_spec_embed"] = torch.zeros(HIDDEN)
    return {name: tensor.float().contiguous() for name, tensor in weights.items()}


def _feature_extractor(generator: torch.Generator) -> Weights:
    weights = norm("feature_extractor.conv_layers.0.layer_norm", CONV_CHANNELS)
    channels = 1
    for index, kernel in enumerate(CONV_KERNELS):
        spread = (2 / (channels * kernel)) ** 0.5
        shape = (CONV_CHANNELS, channels, kernel)
        weights[f"feature_extractor.conv_layers.{index}.conv.weight"] = normal(generator, shape, spread)
        channels = CONV_CHANNELS
    return weights


def _position(generator: torch.Generator) -> Weights:
    """The convolution is stored as weight norm does: a direction and, for each tap, a length."""
    width = HIDDEN // POSITION_GROUPS
    direction = normal(generator, (HIDDEN, width, POSITION_KERNEL), (width * POSITION_KERNEL) ** -0.5)
    return {
        "encoder.pos_conv_embed.conv.weight_v": direction,
        "encoder.pos_conv_embed.conv.weight_g": direction.norm(dim=(0, 1), keepdim=True),
        "encoder.pos_conv_embed.conv.bias": torch.zeros(HIDDEN),
    }
