"""Wan 2.1's VAE, a chunk of a video at a time: what is held does not grow with the video.

The first latent frame stands for one video frame and each other one for four. The first is a chunk of its
own; the rest come in chunks of any number of latent frames: speed and memory change, the result does not.
Where several processes share the rows of a video, each runs the stream of its own.

Shape letters: B batch, C channels, T frames of pixels or latents, H and W rows and columns of either.
Source: Wan 2.1 (Wan-Video/Wan2.1, wan/modules/vae.py).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch

from .geometry import LATENT_CHANNELS, TIME_STRIDE
from .vae_layers import (
    ConvKernel,
    KernelOf,
    PastFrames,
    ResidualPast,
    ResidualWeights,
    causal,
    convolve,
    convolve_joined,
    double_frames,
    double_size,
    frames_of,
    half_frames,
    half_size,
    kernel_of,
    last_frames,
    norm,
    norm_silu_joined,
    residual,
    video_of,
)
from .vae_rows import RowSplit
from .vae_tree import (
    Convolution,
    LayerList,
    VaeAttention,
    VaeDecoder,
    VaeEncoder,
    VaeResample,
    VaeResidual,
    VaeTree,
    is_attention,
    is_resample,
    is_residual,
)

ComputeResidual = Callable[
    [torch.Tensor, ResidualPast, ResidualWeights, RowSplit | None], tuple[torch.Tensor, ResidualPast]
]
"""`residual`, or a compiled one."""

UPSAMPLE_PICTURES = 4
"""How many pictures are doubled in size at once: the doubled ones are the largest tensors of a decode."""


@dataclass(frozen=True, slots=True)
class VaeStreamSettings:
    """How a stream runs; none of it changes the result beyond rounding.

    Attributes:
        latents_per_chunk: latent frames of a chunk, after the first.
        kernel_of: where a convolution's weights come from.
        compute: the residual block for chunks of full length, compiled or not.
        split: what rows this process has; None: all.
    """

    latents_per_chunk: int = 1
    kernel_of: KernelOf = kernel_of
    compute: ComputeResidual = residual
    split: RowSplit | None = None


_NOTHING_SEEN = object()
"""The past of a layer that doubles frames, after the first frame, which passed it by."""


@dataclass(slots=True)
class _Passage:
    """The passage of one video through one half of a VAE: what each layer saw last.

    Attributes:
        settings: how it runs.
        pasts: by the place of the layer in the passage of a chunk.
    """

    settings: VaeStreamSettings
    pasts: dict[int, Any] = field(default_factory=dict)
    place: int = 0
    full: bool = False

    def begin(self, *, full: bool) -> None:
        """Begin the next chunk."""
        self.place, self.full = 0, full

    def kernel(self, convolution: Convolution, x: torch.Tensor) -> ConvKernel:
        return self.settings.kernel_of(convolution, x)

    def swap(self, compute: Callable[[Any], tuple[torch.Tensor, Any]]) -> torch.Tensor:
        """Run a layer with its past and keep what the next chunk needs."""
        place, self.place = self.place, self.place + 1
        y, self.pasts[place] = compute(self.pasts.pop(place, None))
        return y

    def causal(self, convolution: Convolution, x: torch.Tensor) -> torch.Tensor:
        return self.swap(lambda past: causal(x, past, self.kernel(convolution, x), self.settings.split))

    def residual(self, layer: VaeResidual, x: torch.Tensor) -> torch.Tensor:
        norm_1, _silu_1, conv_1, norm_2, _silu_2, _dropout, conv_2 = layer.residual
        shortcut = self.kernel(layer.shortcut, x) if hasattr(layer.shortcut, "weight") else None
        weights = ResidualWeights(
            norm_1.gamma, self.kernel(conv_1, x), norm_2.gamma, self.kernel(conv_2, x), shortcut
        )
        compute = self.settings.compute if self.full else residual
        return self.swap(lambda past: compute(x, past or ResidualPast(), weights, self.settings.split))

    def attention(self, layer: VaeAttention, x: torch.Tensor) -> torch.Tensor:
        pictures, split = norm(frames_of(x), layer.norm.gamma), self.settings.split
        if split is not None:
            pictures = split.whole(pictures)
        q, k, v = convolve(pictures, self.kernel(layer.to_qkv, x), (0, 0)).chunk(3, dim=1)
        seen = layer.optimized_attention(q, k, v)
        if split is not None:
            seen = split.own(seen)
        return x + video_of(convolve(seen, self.kernel(layer.proj, x), (0, 0)), x.shape[0])

    def resample(self, layer: VaeResample, x: torch.Tensor) -> torch.Tensor:
        kernel = self.kernel(layer.resample[1], x)
        if layer.mode == "upsample3d":
            x = self.swap(lambda past: self._double_frames(layer, x, past))
        borders = None if self.settings.split is None else self.settings.split.borders(x)
        if layer.mode.startswith("upsample"):
            return self._double_size(x, kernel, borders)
        x = half_size(x, kernel, None if borders is None else borders[1])
        if layer.mode == "downsample3d":
            return self.swap(lambda past: self._half_frames(layer, x, past))
        return x

    def _double_size(
        self, x: torch.Tensor, kernel: ConvKernel, borders: tuple[torch.Tensor, torch.Tensor] | None
    ) -> torch.Tensor:
        pieces = [one.split(UPSAMPLE_PICTURES, dim=2) for one in (x, *(borders or ()))]
        parts = [
            double_size(part, kernel, (around[0], around[1]) if around else None)
            for part, *around in zip(*pieces, strict=True)
        ]
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]

    def _double_frames(self, layer: Any, x: torch.Tensor, past: Any) -> tuple[torch.Tensor, Any]:
        """The video's first frame stays one; those after it know nothing of it."""
        if past is None:
            return x, _NOTHING_SEEN
        seen = None if past is _NOTHING_SEEN else past
        return double_frames(x, seen, self.kernel(layer.time_conv, x))

    def _half_frames(self, layer: Any, x: torch.Tensor, past: Any) -> tuple[torch.Tensor, Any]:
        if past is None:
            return x, last_frames(x, 1)
        return half_frames(x, past, self.kernel(layer.time_conv, x))

    def layer(self, layer: object, x: torch.Tensor) -> torch.Tensor:
        if is_residual(layer):
            return self.residual(layer, x)
        if is_attention(layer):
            return self.attention(layer, x)
        assert is_resample(layer), "the layers of Wan's VAE are of three kinds"
        return self.resample(layer, x)

    def run(
        self, first: Convolution, layers: Iterable[object], head: LayerList, x: torch.Tensor
    ) -> torch.Tensor:
        """All layers of one half; in one loop, so that nothing holds a layer's input after it."""
        x = self.causal(first, x)
        for layer in layers:
            x = self.layer(layer, x)
        return self.head(head, x)

    def head(self, head: LayerList, x: torch.Tensor) -> torch.Tensor:
        kernel = self.kernel(head[2], x)

        def compute(past: PastFrames) -> tuple[torch.Tensor, torch.Tensor]:
            joined = norm_silu_joined(x, head[0].gamma, past, self.settings.split)
            return convolve_joined(joined, kernel, self.settings.split), last_frames(joined)

        return self.swap(compute)


def chunk_bounds(latents: int, latents_per_chunk: int) -> Iterator[tuple[int, int]]:
    """First and one past the last latent frame of each chunk: the first frame alone, then the rest."""
    yield 0, 1
    for start in range(1, latents, latents_per_chunk):
        yield start, min(start + latents_per_chunk, latents)


def even_chunk(latents: int, most: int) -> int:
    """Latent frames of a chunk, up to `most`, with which all chunks after the first frame are equally long.

    The last one would be run by other graphs, or uncompiled. Where only chunks of less than half of `most`
    come out even, `most` itself.
    """
    sizes = range(most, most // 2, -1)
    return next((size for size in sizes if (latents - 1) % size == 0), most)


def channels_last(x_BCTHW: torch.Tensor) -> torch.Tensor:
    """A copy of the video in channels-last memory.

    Always a copy: a view may hold its numbers in that order and yet have strides, of sides of length 1, by
    which torch takes it for something else.
    """
    return x_BCTHW.clone(memory_format=torch.channels_last_3d)


def decode_stream(
    tree: VaeTree, latents_BCTHW: torch.Tensor, settings: VaeStreamSettings
) -> Iterator[torch.Tensor]:
    """Video frames (B, 3, T, 8 H, 8 W) of raw latents, chunk by chunk: one, then four a latent frame."""
    passage = _Passage(settings)
    count = latents_BCTHW.shape[2]
    for start, stop in chunk_bounds(count, settings.latents_per_chunk):
        latents = latents_BCTHW[:, :, start:stop]
        passage.begin(full=start > 0 and stop - start == settings.latents_per_chunk)
        yield _decode_chunk(tree, passage, channels_last(latents))


def _decode_chunk(tree: VaeTree, passage: _Passage, latents: torch.Tensor) -> torch.Tensor:
    decoder: VaeDecoder = tree.decoder
    x = convolve(latents, passage.kernel(tree.conv2, latents), (0, 0, 0))
    return passage.run(decoder.conv1, chain(decoder.middle, decoder.upsamples), decoder.head, x)


def encode_stream(
    tree: VaeTree, chunks_BCTHW: Iterable[torch.Tensor], settings: VaeStreamSettings
) -> Iterator[torch.Tensor]:
    """Raw latents (B, 16, T, H / 8, W / 8) of chunks of a video, -1..1: one frame, then fours of frames."""
    passage = _Passage(settings)
    for frames in chunks_BCTHW:
        passage.begin(full=frames.shape[2] == TIME_STRIDE * settings.latents_per_chunk)
        yield _encode_chunk(tree, passage, channels_last(frames))


def _encode_chunk(tree: VaeTree, passage: _Passage, frames: torch.Tensor) -> torch.Tensor:
    encoder: VaeEncoder = tree.encoder
    x = passage.run(encoder.conv1, chain(encoder.downsamples, encoder.middle), encoder.head, frames)
    return convolve(x, passage.kernel(tree.conv1, x), (0, 0, 0))[:, :LATENT_CHANNELS]
