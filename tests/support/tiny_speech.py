"""A tiny wav2vec2 with seeded random weights, under the names of published checkpoints."""

import torch
from evertalk_pack.multitalk.speech.config import SpeechEncoderConfig
from evertalk_pack.multitalk.speech.encoder import SpeechEncoder

BASE = SpeechEncoderConfig(
    conv_channels=(16,) * 7,
    conv_kernels=(10, 3, 3, 3, 3, 2, 2),
    conv_bias=False,
    feature_norm="group",
    stable_layer_norm=False,
    dim=128,
    ffn_dim=64,
    num_layers=2,
    num_heads=2,
    position_kernel=16,
    position_groups=4,
    normalise_input=False,
)

LARGE = SpeechEncoderConfig(
    conv_channels=(16,) * 7,
    conv_kernels=(10, 3, 3, 3, 3, 2, 2),
    conv_bias=True,
    feature_norm="layer",
    stable_layer_norm=True,
    dim=64,
    ffn_dim=96,
    num_layers=3,
    num_heads=1,
    position_kernel=17,
    position_groups=2,
    normalise_input=True,
)


def tiny_encoder(config: SpeechEncoderConfig = BASE) -> SpeechEncoder:
    """An encoder whose every weight is random, norms included."""
    encoder = SpeechEncoder(config).eval().requires_grad_(requires_grad=False)
    generator = torch.Generator().manual_seed(7)
    for weight in encoder.parameters():
        fan_in = weight[0].numel() if weight.ndim > 1 else 1
        weight.copy_(torch.randn(weight.shape, generator=generator) / fan_in**0.5)
    return encoder


def speech_like(num_samples: int) -> torch.Tensor:
    """Noise in bursts, (samples,)."""
    generator = torch.Generator().manual_seed(3)
    bursts = (torch.arange(num_samples) / 2500).sin().clamp_min(0)
    return 0.1 * bursts * torch.randn(num_samples, generator=generator)
