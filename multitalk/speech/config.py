"""The sizes and the style of a wav2vec2 speech encoder, read from its checkpoint's names and shapes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

CONV_STRIDES = (5, 2, 2, 2, 2, 2, 2)
"""Strides of every wav2vec2's convolutions, 320 samples in all; a checkpoint's shapes do not tell them."""

FEATURE_PIECE_BYTES = 600 * 2**20
"""What the feature extractor needs for one piece of a track (speech_features.PIECE_FEATURES)."""

HEAD_DIM = 64
"""Channels of an attention head in every published wav2vec2."""


@dataclass(frozen=True, slots=True)
class SpeechEncoderConfig:
    """What a wav2vec2 is made of.

    Attributes:
        conv_channels: output channels of each convolution of the feature extractor.
        conv_kernels: their kernel lengths.
        conv_strides: their strides.
        conv_bias: whether they have a bias.
        feature_norm: `group`: one norm over time after the first convolution (base style); `layer`: a norm
            over channels after each (large style).
        stable_layer_norm: norm before attention and feed-forward (large style) instead of after (base style).
        dim: channels of the encoder.
        ffn_dim: channels inside its feed-forwards.
        num_layers: encoder layers.
        num_heads: attention heads.
        position_kernel: kernel length of the convolution that gives positions.
        position_groups: its groups.
        normalise_input: whether the waveform is brought to mean 0 and variance 1 first. The published large
            encoders were trained so, chinese-wav2vec2-base was not.

    Raises:
        ValueError: the sizes make no wav2vec2.
    """

    conv_channels: tuple[int, ...]
    conv_kernels: tuple[int, ...]
    conv_bias: bool
    feature_norm: Literal["group", "layer"]
    stable_layer_norm: bool
    dim: int
    ffn_dim: int
    num_layers: int
    num_heads: int
    position_kernel: int
    position_groups: int
    normalise_input: bool
    conv_strides: tuple[int, ...] = CONV_STRIDES

    def __post_init__(self) -> None:
        if len(self.conv_kernels) != len(self.conv_strides):
            raise ValueError(f"{len(self.conv_kernels)} convolutions, not {len(self.conv_strides)}")
        if self.num_heads < 1 or self.dim % self.num_heads:
            raise ValueError(f"{self.num_heads} attention heads do not divide {self.dim} channels")

    def encoding_bytes(self, num_frames: int) -> int:
        """About the most memory beside the weights that num_frames video frames take in one pass."""
        values = num_frames * (self.dim * (self.num_layers + 6) + 2 * self.ffn_dim)
        return 4 * values + FEATURE_PIECE_BYTES

    def receptive_field(self) -> int:
        """Samples that one feature is computed from (400 in every published wav2vec2)."""
        field = 1
        for kernel, stride in zip(reversed(self.conv_kernels), reversed(self.conv_strides), strict=True):
            field = (field - 1) * stride + kernel
        return field


def config_of(weights: Mapping[str, torch.Tensor], num_heads: int | None = None) -> SpeechEncoderConfig:
    """Reads the configuration from clean weights (speech_checkpoint.clean_weights).

    Args:
        weights: the checkpoint; every weight that is read here must be there.
        num_heads: attention heads, which no shape tells; None: as many as have HEAD_DIM channels.

    Raises:
        ValueError, LookupError: the shapes are those of no wav2vec2.
    """
    kernels = _in_order(weights, r"feature_extractor\.conv_layers\.(\d+)\.conv\.weight")
    num_layers = len(_in_order(weights, r"encoder\.layers\.(\d+)\.attention\.q_proj\.weight"))
    is_large = "feature_extractor.conv_layers.1.layer_norm.weight" in weights
    ffn_dim, dim = weights["encoder.layers.0.feed_forward.intermediate_dense.weight"].shape
    _, group_width, position_kernel = weights["encoder.pos_conv_embed.conv.weight"].shape
    return SpeechEncoderConfig(
        conv_channels=tuple(kernel.shape[0] for kernel in kernels),
        conv_kernels=tuple(kernel.shape[2] for kernel in kernels),
        conv_bias="feature_extractor.conv_layers.0.conv.bias" in weights,
        feature_norm="layer" if is_large else "group",
        stable_layer_norm=is_large,
        dim=dim,
        ffn_dim=ffn_dim,
        num_layers=num_layers,
        num_heads=max(1, dim // HEAD_DIM) if num_heads is None else num_heads,
        position_kernel=position_kernel,
        position_groups=dim // group_width,
        normalise_input=is_large,
    )


def _in_order(weights: Mapping[str, torch.Tensor], pattern: str) -> list[torch.Tensor]:
    """The weights whose whole name fits `pattern`, sorted by its number."""
    found = {int(match[1]): name for name in weights if (match := re.fullmatch(pattern, name))}
    return [weights[found[number]] for number in sorted(found)]
