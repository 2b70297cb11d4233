"""The first half of wav2vec2: from samples to features at 50 Hz, then to one feature a video frame.

Shape letters: B batch (always 1), T samples, F features, N video frames, C channels.
Source: Baevski et al., wav2vec 2.0 (2020); facebookresearch/fairseq, wav2vec2.py.
"""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ..common.layers import Layers
from ..common.tensor_file import drop_page_cache, pieces_of
from .config import SpeechEncoderConfig

NORMALISE_EPS = 1e-7
GROUP_NORM_EPS = 1e-5

PIECE_FEATURES = 1000
"""Features that are made at a time: 20 s of sound, whose first convolution fills 130 MB."""


def in_norm(samples_T: torch.Tensor, stats: "TimeStats | None") -> torch.Tensor:
    """Samples normed by statistics of a track that they are a part of; None leaves them."""
    return samples_T if stats is None else (samples_T - stats.mean[0, 0]) / stats.deviation[0, 0]


def interpolated(features_FC: torch.Tensor, num_frames: int) -> torch.Tensor:
    """Features (num_frames, C), linear in time with the first and the last where they were.

    A track of N whole frames has 2 N - 1 features, so that frame i is feature 2 i exactly: nothing is mixed
    and nothing drifts, however long the silent tail is.
    """
    features_BCF = features_FC.T[None]
    return F.interpolate(features_BCF, size=num_frames, mode="linear", align_corners=True)[0].T


class TimeStats(NamedTuple):
    """Mean and standard deviation over time of each channel, both (channels, 1) and on the CPU."""

    mean: torch.Tensor
    deviation: torch.Tensor


class TrackStats(NamedTuple):
    """What is measured over a whole track before any part of it is encoded; None where nothing is normed.

    Attributes:
        samples: of the samples.
        channels: of the first convolution's output.
    """

    samples: TimeStats | None
    channels: TimeStats | None


class RunningStats:
    """Mean and variance over time of values that come in pieces.

    Joined piece by piece in float64 (Chan, Golub, LeVeque 1979): exact however long the track is.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._squares = torch.zeros(1, dtype=torch.float64)

    def add(self, values_CT: torch.Tensor) -> None:
        """Take in the next values, (channels, time)."""
        more = values_CT.shape[1]
        variance, centre = (value.cpu().double() for value in torch.var_mean(values_CT, dim=1, correction=0))
        share = more / (self._count + more)
        self._squares = self._squares + more * (variance + (centre - self._mean).square() * (1 - share))
        self._mean = self._mean + (centre - self._mean) * share
        self._count += more

    def stats(self, eps: float) -> TimeStats:
        """The statistics so far; `eps` is added to the variance."""
        variance = (self._squares / self._count).float()
        return TimeStats(self._mean.float()[:, None], (variance + eps).sqrt()[:, None])


def samples_stats(samples_T: torch.Tensor) -> TimeStats:
    """The statistics of samples."""
    running = RunningStats()
    for piece_T in pieces_of(samples_T):
        running.add(piece_T[None])
    return running.stats(NORMALISE_EPS)


class ConvLayer(nn.Module):
    """A convolution, a norm over channels (large style) or time (base style, first layer only), and GELU."""

    def __init__(self, config: SpeechEncoderConfig, index: int, layers: Layers) -> None:
        super().__init__()
        channels = config.conv_channels[index]
        self.conv = layers.convolution(
            config.conv_channels[index - 1] if index else 1,
            channels,
            config.conv_kernels[index],
            stride=config.conv_strides[index],
            bias=config.conv_bias,
        )
        self.over_channels = config.feature_norm == "layer"
        if self.over_channels:
            self.layer_norm = layers.layer_norm(channels)
        elif index == 0:
            self.layer_norm = layers.channel_norm(channels)

    def forward(self, x_BCT: torch.Tensor, stats: TimeStats | None) -> torch.Tensor:
        """The layer's output; `stats` of its own convolution, if it norms over time."""
        x_BCF = self.conv(x_BCT)
        if self.over_channels:
            x_BCF = self.layer_norm(x_BCF.transpose(1, 2)).transpose(1, 2)
        elif stats is not None:
            # Group norm with one channel a group, by statistics of more than this piece of the track.
            # A host short of memory keeps weights elsewhere than the samples.
            weight, bias = (
                value.to(x_BCF)[:, None] for value in (self.layer_norm.weight, self.layer_norm.bias)
            )
            mean, deviation = (value.to(x_BCF) for value in stats)
            x_BCF = torch.addcmul(bias, x_BCF - mean, weight / deviation)
        return F.gelu(x_BCF)


class FeatureExtractor(nn.Module):
    """Seven convolutions: samples at 16 kHz -> features at 50 Hz.

    A long track goes through in pieces, which changes nothing but the memory: features see 400 samples each,
    and the base style's norm over the whole track is measured first.

    Attributes:
        piece_features: that are made at a time.
    """

    def __init__(self, config: SpeechEncoderConfig, layers: Layers) -> None:
        super().__init__()
        self.reach, self.stride = config.receptive_field(), prod(config.conv_strides)
        self.over_time, self.piece_features = config.feature_norm == "group", PIECE_FEATURES
        self.conv_layers = nn.ModuleList(
            ConvLayer(config, index, layers) for index in range(len(config.conv_channels))
        )

    def forward(self, samples_T: torch.Tensor, stats_samples: int) -> torch.Tensor:
        """Features (F, C); a norm over time measures the first `stats_samples` samples."""
        return self.features(samples_T, self.time_stats(samples_T[:stats_samples]))

    def features(self, samples_T: torch.Tensor, stats: TimeStats | None) -> torch.Tensor:
        """Features (F, C), by statistics of the whole track, of which these samples may be a part."""
        pieces: list[torch.Tensor] = []
        for piece_T in overlapping(samples_T, self.piece_features, self.reach, self.stride):
            x_BCT = piece_T[None, None]
            for index, layer in enumerate(self.conv_layers):
                x_BCT = layer(x_BCT, stats if index == 0 else None)
            pieces.append(x_BCT[0].T)
        return torch.cat(pieces)

    def time_stats(
        self,
        samples_T: torch.Tensor,
        norm: TimeStats | None = None,
        device: torch.device | None = None,
    ) -> TimeStats | None:
        """Statistics over time of the first convolution's output; None in the style that does not norm it.

        The silent tail after a track is not handed in: it would lower the variance and so raise the features
        of the speech, the more the longer the tail.

        Args:
            samples_T: the track, which is read piece by piece.
            norm: of the samples, see in_norm.
            device: where each piece is measured; None: where the track is.
        """
        if not self.over_time:
            return None
        first = self.conv_layers[0]
        assert isinstance(first, ConvLayer)
        reach, stride = first.conv.kernel_size[0], first.conv.stride[0]
        running = RunningStats()
        for piece_T in overlapping(samples_T, self.piece_features * self.stride // stride, reach, stride):
            running.add(first.conv(in_norm(piece_T.to(device), norm)[None, None])[0])
            drop_page_cache()
        return running.stats(GROUP_NORM_EPS)


def overlapping(samples_T: torch.Tensor, outputs: int, reach: int, stride: int) -> Iterator[torch.Tensor]:
    """The pieces of a track from which a convolution makes `outputs` values at a time, in order.

    Args:
        samples_T: the track, at least `reach` samples.
        outputs: the most that one piece gives.
        reach: samples that one output sees.
        stride: samples from one output to the next.
    """
    total = (samples_T.shape[0] - reach) // stride + 1
    for first in range(0, total, outputs):
        last = min(first + outputs, total) - 1
        yield samples_T[first * stride : last * stride + reach]
