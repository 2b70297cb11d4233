"""wav2vec2 as InfiniteTalk and MultiTalk hear it: one stack of hidden states for each video frame.

Features are brought to the video's frame rate before the encoder, not after it: that is what the weights saw.

Shape letters: B batch (always 1), T samples, F features, N video frames, L encoder layers, C channels,
H heads, D head dimension, M frames that are attended to.
Source: Baevski et al., wav2vec 2.0 (2020); facebookresearch/fairseq, wav2vec2.py; the frame rate from
MeiGen-AI/InfiniteTalk, src/audio_analysis/wav2vec2.py.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ..common.layers import PLAIN, Layers
from .config import SpeechEncoderConfig
from .features import FeatureExtractor, TrackStats, in_norm, interpolated, samples_stats


class FeatureProjection(nn.Module):
    """From the feature extractor's channels to the encoder's."""

    def __init__(self, config: SpeechEncoderConfig, layers: Layers) -> None:
        super().__init__()
        self.layer_norm = layers.layer_norm(config.conv_channels[-1])
        self.projection = layers.linear(config.conv_channels[-1], config.dim)

    def forward(self, features_BNC: torch.Tensor) -> torch.Tensor:
        return self.projection(self.layer_norm(features_BNC))


class PositionConvolution(nn.Module):
    """A wide grouped convolution over frames, whose output tells a frame's surroundings and so its place."""

    def __init__(self, config: SpeechEncoderConfig, layers: Layers) -> None:
        super().__init__()
        self.conv = layers.position_convolution(config.dim, config.position_kernel, config.position_groups)

    def forward(self, x_BNC: torch.Tensor) -> torch.Tensor:
        # An even kernel padded by half its length on both sides gives one frame too many.
        x_BCN = self.conv(x_BNC.transpose(1, 2))[..., : x_BNC.shape[1]]
        return F.gelu(x_BCN).transpose(1, 2)


class KeysValues(NamedTuple):
    """What frames are found by, and what is heard of them, both (B, M, C)."""

    keys: torch.Tensor
    values: torch.Tensor


class SelfAttention(nn.Module):
    """Attention of all frames to all frames, or to those around them."""

    def __init__(self, config: SpeechEncoderConfig, layers: Layers) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.q_proj = layers.linear(config.dim, config.dim)
        self.k_proj = layers.linear(config.dim, config.dim)
        self.v_proj = layers.linear(config.dim, config.dim)
        self.out_proj = layers.linear(config.dim, config.dim)

    def keys_values(self, x_BNC: torch.Tensor) -> KeysValues:
        """What these frames are heard by."""
        return KeysValues(self.k_proj(x_BNC), self.v_proj(x_BNC))

    def forward(self, x_BNC: torch.Tensor, heard: KeysValues | None = None) -> torch.Tensor:
        """Attention of these frames to `heard`; None: to themselves."""
        keys_BMC, values_BMC = self.keys_values(x_BNC) if heard is None else heard
        q_BHND, k_BHMD, v_BHMD = (
            each.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for each in (self.q_proj(x_BNC), keys_BMC, values_BMC)
        )
        heard_BHND = F.scaled_dot_product_attention(q_BHND, k_BHMD, v_BHMD)
        return self.out_proj(heard_BHND.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, config: SpeechEncoderConfig, layers: Layers) -> None:
        super().__init__()
        self.intermediate_dense = layers.linear(config.dim, config.ffn_dim)
        self.output_dense = layers.linear(config.ffn_dim, config.dim)

    def forward(self, x_BNC: torch.Tensor) -> torch.Tensor:
        return self.output_dense(F.gelu(self.intermediate_dense(x_BNC)))


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each added; normed before (stable, large style) or after (base style)."""

    def __init__(self, config: SpeechEncoderConfig, layers: Layers) -> None:
        super().__init__()
        self.norm_first = config.stable_layer_norm
        self.attention = SelfAttention(config, layers)
        self.layer_norm = layers.layer_norm(config.dim)
        self.feed_forward = FeedForward(config, layers)
        self.final_layer_norm = layers.layer_norm(config.dim)

    def keys_values(self, x_BNC: torch.Tensor) -> KeysValues:
        """What these frames are heard by in this layer."""
        return self.attention.keys_values(self.layer_norm(x_BNC) if self.norm_first else x_BNC)

    def forward(self, x_BNC: torch.Tensor, heard: KeysValues | None = None) -> torch.Tensor:
        """The layer's output; `heard`: of the frames attended to, None: of these."""
        if self.norm_first:
            x_BNC = x_BNC + self.attention(self.layer_norm(x_BNC), heard)
            return x_BNC + self.feed_forward(self.final_layer_norm(x_BNC))
        x_BNC = self.layer_norm(x_BNC + self.attention(x_BNC, heard))
        return self.final_layer_norm(x_BNC + self.feed_forward(x_BNC))


class Encoder(nn.Module):
    """The transformer: positions, then layers."""

    def __init__(self, config: SpeechEncoderConfig, layers: Layers) -> None:
        super().__init__()
        self.norm_first = config.stable_layer_norm
        self.pos_conv_embed = PositionConvolution(config, layers)
        self.layer_norm = layers.layer_norm(config.dim)
        self.layers = nn.ModuleList(EncoderLayer(config, layers) for _ in range(config.num_layers))

    def placed(self, x_BNC: torch.Tensor) -> torch.Tensor:
        """What the first layer gets: positions added, and normed in the base style."""
        x_BNC = x_BNC + self.pos_conv_embed(x_BNC)
        return x_BNC if self.norm_first else self.layer_norm(x_BNC)

    def forward(self, x_BNC: torch.Tensor) -> torch.Tensor:
        """The output of each layer, (B, N, L, C); in the large style only the last one is normed."""
        x_BNC = self.placed(x_BNC)
        outputs: list[torch.Tensor] = []
        for layer in self.layers:
            x_BNC = layer(x_BNC)
            outputs.append(x_BNC)
        outputs[-1] = self.finished(x_BNC)
        return torch.stack(outputs, dim=2)

    def finished(self, x_BNC: torch.Tensor) -> torch.Tensor:
        """The last layer's output, which is normed in the large style."""
        return self.layer_norm(x_BNC) if self.norm_first else x_BNC


class SpeechEncoder(nn.Module):
    """wav2vec2 from samples to hidden states; its weights have the names of the published checkpoints.

    Args:
        config: sizes and style.
        layers: what it is built of.
    """

    def __init__(self, config: SpeechEncoderConfig, layers: Layers = PLAIN) -> None:
        super().__init__()
        self.config = config
        self.feature_extractor = FeatureExtractor(config, layers)
        self.feature_projection = FeatureProjection(config, layers)
        self.encoder = Encoder(config, layers)

    def measured(
        self, samples_T: torch.Tensor, stats_samples: int, device: torch.device | None = None
    ) -> TrackStats:
        """The statistics of a whole track, by which it is encoded as a whole or in parts.

        Args:
            samples_T: mono samples at 16 kHz, which are read piece by piece.
            stats_samples: how many leading samples are real sound; those after them are not measured.
            device: where they are measured; None: where they are.
        """
        # A norm over less than one feature's samples would divide by a chance value: silence helps out.
        real_T = samples_T[: max(stats_samples, self.config.receptive_field())]
        norm = samples_stats(real_T) if self.config.normalise_input else None
        return TrackStats(norm, self.feature_extractor.time_stats(real_T, norm, device))

    def frame_features(self, samples_T: torch.Tensor, num_frames: int, stats: TrackStats) -> torch.Tensor:
        """Features (N, C) of the convolutions, one a video frame, before projection and encoder."""
        features_FC = self.feature_extractor.features(in_norm(samples_T, stats.samples), stats.channels)
        return interpolated(features_FC, num_frames)

    def projected(self, samples_T: torch.Tensor, num_frames: int, stats: TrackStats) -> torch.Tensor:
        """What the encoder gets, (1, N, C), of a track or of a part of it."""
        return self.feature_projection(self.frame_features(samples_T, num_frames, stats)[None])

    def forward(
        self, samples_T: torch.Tensor, num_frames: int, stats_samples: int | None = None
    ) -> torch.Tensor:
        """Hidden states (num_frames, L, C) of all layers but the encoder's input, in one pass.

        Args:
            samples_T: mono samples at 16 kHz, at least config.receptive_field() of them.
            num_frames: video frames that the samples last.
            stats_samples: how many leading samples are real sound. What follows is silence that was appended;
                the norms over time do not measure it. None: all are real.
        """
        assert samples_T.shape[0] >= self.config.receptive_field(), f"only {samples_T.shape[0]} samples"
        real = samples_T.shape[0] if stats_samples is None else stats_samples
        return self.encoder(self.projected(samples_T, num_frames, self.measured(samples_T, real)))[0]
