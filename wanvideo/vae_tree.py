"""What the VAE's arithmetic needs of a Wan 2.1 VAE's module tree, whoever built it.

ComfyUI's own tree satisfies these protocols; so does a small one of plain torch modules. Convolutions are
looked into for their weights, so that the arithmetic decides on padding, memory format and the operation.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeGuard

import torch


class LayerList(Protocol):
    """Layers in their order."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...


class Convolution(Protocol):
    """A 2-D or 3-D convolution."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: tuple[int, ...]


class ChannelNorm(Protocol):
    """An RMS norm over channels; `gamma` is (channels, 1, 1, 1) or (channels, 1, 1)."""

    gamma: torch.Tensor


class VaeResidual(Protocol):
    """Norm, SiLU, convolution, norm, SiLU, dropout, convolution; the shortcut is a convolution or nothing."""

    residual: LayerList
    shortcut: Any


class VaeAttention(Protocol):
    """One head of self-attention over the places of a frame."""

    norm: ChannelNorm
    to_qkv: Convolution
    proj: Convolution
    optimized_attention: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class VaeResample(Protocol):
    """Half or twice the size; `mode` ends in 3d where it halves or doubles the frames too."""

    mode: str
    resample: LayerList


class VaeEncoder(Protocol):
    """Frames to latents, before the last 1x1 convolution."""

    conv1: Convolution
    downsamples: LayerList
    middle: LayerList
    head: LayerList


class VaeDecoder(Protocol):
    """Latents to frames, after the first 1x1 convolution."""

    conv1: Convolution
    middle: LayerList
    upsamples: LayerList
    head: LayerList


class VaeTree(Protocol):
    """A whole Wan 2.1 VAE."""

    encoder: VaeEncoder
    decoder: VaeDecoder
    conv1: Convolution
    conv2: Convolution


RESIDUAL_LAYERS, HEAD_LAYERS = 7, 3


def is_streamable(tree: VaeTree) -> bool:
    """Whether all layers are of the kinds that the stream knows."""
    encoder, decoder = tree.encoder, tree.decoder
    layers = [*encoder.downsamples, *encoder.middle, *decoder.middle, *decoder.upsamples]
    heads = len(encoder.head) == len(decoder.head) == HEAD_LAYERS
    return heads and all(_is_known(layer) for layer in layers)


# By hasattr, not by isinstance: from Python 3.12 on, isinstance with a protocol does not see what torch
# modules hand out by `__getattr__`, their parts.


def is_residual(layer: object) -> TypeGuard[VaeResidual]:
    """Whether the layer is a residual block."""
    return hasattr(layer, "residual") and hasattr(layer, "shortcut")


def is_attention(layer: object) -> TypeGuard[VaeAttention]:
    """Whether the layer is a self-attention."""
    return all(hasattr(layer, name) for name in ("norm", "to_qkv", "proj", "optimized_attention"))


def is_resample(layer: object) -> TypeGuard[VaeResample]:
    """Whether the layer changes the size."""
    return hasattr(layer, "mode") and hasattr(layer, "resample")


def _is_known(layer: object) -> bool:
    if is_residual(layer):
        return len(layer.residual) == RESIDUAL_LAYERS
    return is_attention(layer) or is_resample(layer)
