"""Tiny talk weights: speech makes parts of the picture lighter and darker.

Which part answers to which sound follows from the picture's colours: the queries see nothing but the picture.
"""

import torch

from .colours import luminance_step
from .transformer import (
    BALANCE,
    DIM,
    FETCHED,
    NUM_LAYERS,
    PATCH_PIXELS,
    STREAM_STD,
    Weights,
    linear,
    norm,
    normal,
)

ENCODER_LAYERS = 2
ENCODER_CHANNELS = 128
CONTEXT_FRAMES = 5
VAE_SCALE_FRAMES = 8
INTERMEDIATE_DIM = 64
CONTEXT_TOKENS = 8
OUTPUT_DIM = 64
RIPPLE = 0.35
"""How far speech moves the brightness, where -1..1 is black to white."""


def make_talk(generator: torch.Generator) -> Weights:
    """The weights of the tiny talk model, with the names of InfiniteTalk's and MultiTalk's."""
    features = ENCODER_LAYERS * ENCODER_CHANNELS
    weights = linear(generator, "audio_proj.proj1", CONTEXT_FRAMES * features, INTERMEDIATE_DIM)
    weights |= linear(generator, "audio_proj.proj1_vf", VAE_SCALE_FRAMES * features, INTERMEDIATE_DIM)
    weights |= linear(generator, "audio_proj.proj2", INTERMEDIATE_DIM, INTERMEDIATE_DIM)
    weights |= linear(generator, "audio_proj.proj3", INTERMEDIATE_DIM, CONTEXT_TOKENS * OUTPUT_DIM)
    weights |= norm("audio_proj.norm", OUTPUT_DIM)
    # so that the features of no audio (zeros) are not the same as no audio attention
    weights["audio_proj.norm.bias"] = normal(generator, (OUTPUT_DIM,), 0.3)
    for index in range(NUM_LAYERS):
        weights |= _block(generator, f"blocks.{index}")
    return {name: tensor.float().contiguous() for name, tensor in weights.items()}


def _block(generator: torch.Generator, name: str) -> Weights:
    attention = f"{name}.audio_cross_attn"
    only_picture = torch.zeros(DIM)
    only_picture[FETCHED] = 2 * STREAM_STD
    weights = {f"{name}.norm_x.weight": only_picture, f"{name}.norm_x.bias": torch.zeros(DIM)}
    weights |= linear(generator, f"{attention}.q_linear", DIM, DIM, gain=2.0)
    weights |= linear(generator, f"{attention}.kv_linear", OUTPUT_DIM, 2 * DIM)
    brighten = torch.zeros(DIM)
    brighten[FETCHED] = luminance_step().float().repeat(PATCH_PIXELS)
    brighten[BALANCE] = -brighten.sum()
    voice = normal(generator, (DIM,), RIPPLE * DIM**-0.5)
    weights[f"{attention}.proj.weight"] = brighten[:, None] * voice
    weights[f"{attention}.proj.bias"] = torch.zeros(DIM)
    return weights
