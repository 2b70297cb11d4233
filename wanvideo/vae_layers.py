"""The layers of Wan 2.1's VAE as pure functions that carry their past from chunk to chunk.

A convolution over three frames looks at the two before each; a stream therefore keeps the last two frames of
what each such convolution saw. All is kept in channels-last memory.

Where several processes have some rows each (`split`, see vae_rows), what a convolution sees begins and ends
with a row of the neighbours, or of zeros, so that it is not padded.

Shape letters: B batch, C channels, T frames of a chunk, H and W rows and columns.
Source: Wan 2.1 (Wan-Video/Wan2.1, wan/modules/vae.py).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.compiler import is_compiling
from torch.nn import functional

from .vae_rows import RowSplit
from .vae_tree import Convolution

PAST_FRAMES = 2
LEAST_NORM = 1e-12

NARROW = 96
"""Channels up to which a GPU convolves three frames side by side. cuDNN's convolutions of videos are slow for
so few: 14.9 ms against 7.9 for Wan's layers of full size on an H100 (cuDNN 9.19), none with 192."""

HAS_ONEDNN = torch.backends.mkldnn.is_available()


class ConvKernel(NamedTuple):
    """Weights of a convolution, on the device and in the precision of what they meet."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: tuple[int, ...]


KernelOf = Callable[[Convolution, torch.Tensor], ConvKernel]
"""A convolution and its input -> its weights where and as the input is."""

PastFrames = torch.Tensor | None
"""The last frames that a convolution saw; None before the first."""


def kernel_of(convolution: Convolution, _x: torch.Tensor) -> ConvKernel:
    """Weights as they lie in the module."""
    return ConvKernel(convolution.weight, convolution.bias, convolution.stride)


def convolve(x: torch.Tensor, kernel: ConvKernel, padding: tuple[int, ...]) -> torch.Tensor:
    """A 2-D or 3-D convolution.

    On a CPU torch sends small videos (four frames at 128x128 are small) to a routine that is many times
    slower than oneDNN's; this asks for oneDNN by name.
    """
    rank = len(kernel.stride)
    if HAS_ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32 and not is_compiling():
        return torch.mkldnn_convolution(
            x, kernel.weight, kernel.bias, padding, kernel.stride, (1,) * rank, groups=1
        )
    operation = functional.conv3d if rank == 3 else functional.conv2d
    return operation(x, kernel.weight, kernel.bias, kernel.stride, padding)


def with_past(x_BCTHW: torch.Tensor, past: PastFrames, split: RowSplit | None = None) -> torch.Tensor:
    """The two frames before, then the chunk; before the first chunk they are zero."""
    if split is not None:
        return with_past_and_borders(x_BCTHW, past, *split.borders(x_BCTHW))
    if past is None:
        return functional.pad(x_BCTHW, (0, 0, 0, 0, PAST_FRAMES, 0))
    return torch.cat((past, x_BCTHW), dim=2)


def with_past_and_borders(
    x_BCTHW: torch.Tensor, past: PastFrames, above: torch.Tensor, below: torch.Tensor
) -> torch.Tensor:
    """The same with a row above and one below, which the past has too; copied once."""
    batch, channels, frames, rows, columns = x_BCTHW.shape
    shape = (batch, frames + PAST_FRAMES, rows + 2, columns, channels)
    joined = x_BCTHW.new_empty(shape).permute(0, 4, 1, 2, 3)
    joined[:, :, :PAST_FRAMES] = 0 if past is None else past
    joined[:, :, PAST_FRAMES:, 1:-1] = x_BCTHW
    joined[:, :, PAST_FRAMES:, :1], joined[:, :, PAST_FRAMES:, -1:] = above, below
    return joined


def last_frames(x_BCTHW: torch.Tensor, count: int = PAST_FRAMES) -> torch.Tensor:
    """A copy of the last frames: a view would keep the whole chunk in memory.

    Its strides are always the same ones: a compiled block is made again for any others.
    """
    return x_BCTHW[:, :, -count:].clone(memory_format=torch.channels_last_3d)


def is_side_by_side(device: torch.device, channels: int) -> bool:
    """Whether a device convolves frames of so many channels side by side."""
    return device.type == "cuda" and channels <= NARROW


def convolve_joined(
    joined_BCTHW: torch.Tensor, kernel: ConvKernel, split: RowSplit | None = None
) -> torch.Tensor:
    """A convolution over each frame and the two before, of a chunk that they precede."""
    if is_side_by_side(joined_BCTHW.device, kernel.weight.shape[1]):
        return convolve_side_by_side(joined_BCTHW, kernel, split)
    return convolve(joined_BCTHW, kernel, (0, *padding_of(kernel, split)))


def padding_of(kernel: ConvKernel, split: RowSplit | None) -> tuple[int, int]:
    """Rows and columns of zeros around what a convolution sees."""
    rows, columns = kernel.weight.shape[-2:]
    return rows // 2 if split is None else 0, columns // 2


def convolve_side_by_side(
    joined_BCTHW: torch.Tensor, kernel: ConvKernel, split: RowSplit | None = None
) -> torch.Tensor:
    """The same as a convolution of pictures: the channels of three frames beside one another are one's."""
    width, depth, rows, columns = kernel.weight.shape[1:]
    frames = joined_BCTHW.shape[2] - depth + 1
    three_BCTHW = torch.cat([joined_BCTHW[:, :, start : start + frames] for start in range(depth)], dim=1)
    weight = kernel.weight.transpose(1, 2).reshape(-1, depth * width, rows, columns)
    flat = ConvKernel(weight, kernel.bias, kernel.stride[1:])
    pictures = convolve(frames_of(three_BCTHW), flat, padding_of(kernel, split))
    return video_of(pictures, joined_BCTHW.shape[0])


def causal(
    x_BCTHW: torch.Tensor, past: PastFrames, kernel: ConvKernel, split: RowSplit | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A convolution over each frame and the two before; also what the next chunk needs."""
    joined = with_past(x_BCTHW, past, split)
    return convolve_joined(joined, kernel, split), last_frames(joined)


def norm_factor(x: torch.Tensor) -> torch.Tensor:
    """What a norm over channels multiplies each place by, (B, 1, ...)."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32)
    return (math.sqrt(x.shape[1]) / length.clamp_min_(LEAST_NORM)).to(x.dtype)


def norm(x: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    """RMS norm over channels, of (B, C, ...)."""
    return torch.mul(x, norm_factor(x)).mul_(gamma.to(x))


def norm_silu_joined(
    x_BCTHW: torch.Tensor, gamma: torch.Tensor, past: PastFrames, split: RowSplit | None = None
) -> torch.Tensor:
    """RMS norm over channels and SiLU of a chunk, after the two frames before."""
    return with_past(functional.silu(norm(x_BCTHW, gamma), inplace=True), past, split)


class ResidualWeights(NamedTuple):
    """Two norms and convolutions, and the convolution of the shortcut where widths differ."""

    gamma_1: torch.Tensor
    conv_1: ConvKernel
    gamma_2: torch.Tensor
    conv_2: ConvKernel
    shortcut: ConvKernel | None


class ResidualPast(NamedTuple):
    """The past of a residual block's two convolutions."""

    conv_1: PastFrames = None
    conv_2: PastFrames = None


def residual(
    x_BCTHW: torch.Tensor, past: ResidualPast, weights: ResidualWeights, split: RowSplit | None = None
) -> tuple[torch.Tensor, ResidualPast]:
    """A residual block of a chunk; also what the next chunk needs."""
    joined = norm_silu_joined(x_BCTHW, weights.gamma_1, past.conv_1, split)
    past_1, hidden = last_frames(joined), convolve_joined(joined, weights.conv_1, split)
    del joined  # so that never more than three tensors of this size exist at once
    hidden = functional.silu(hidden.mul_(norm_factor(hidden)).mul_(weights.gamma_2.to(hidden)), inplace=True)
    joined = with_past(hidden, past.conv_2, split)
    del hidden
    past_2, hidden = last_frames(joined), convolve_joined(joined, weights.conv_2, split)
    del joined
    if weights.shortcut is not None:
        x_BCTHW = convolve(x_BCTHW, weights.shortcut, (0, 0, 0))
    return hidden.add_(x_BCTHW), ResidualPast(past_1, past_2)


def frames_of(x_BCTHW: torch.Tensor) -> torch.Tensor:
    """The frames as a batch of pictures (B T, C, H, W); a view of channels-last memory."""
    # Channels are moved to the end and back: flattened in place, a single frame would get a batch stride by
    # which torch no longer knows its memory as channels-last.
    return x_BCTHW.permute(0, 2, 3, 4, 1).flatten(0, 1).permute(0, 3, 1, 2)


def video_of(x_NCHW: torch.Tensor, batch: int) -> torch.Tensor:
    """A batch of pictures as a video (B, C, T, H, W) again."""
    return x_NCHW.permute(0, 2, 3, 1).unflatten(0, (batch, -1)).permute(0, 4, 1, 2, 3)


def double_size(
    x_BCTHW: torch.Tensor, kernel: ConvKernel, borders: tuple[torch.Tensor, torch.Tensor] | None = None
) -> torch.Tensor:
    """Each pixel four times, then a convolution of single frames; `borders`: the rows above and below."""
    if borders is None:
        pictures, padding = each_pixel_four_times(frames_of(x_BCTHW)), (1, 1)
    else:
        pictures, padding = between_borders(frames_of(x_BCTHW), *map(frames_of, borders)), (0, 1)
    return video_of(convolve(pictures, kernel, padding), x_BCTHW.shape[0])


def between_borders(x_NCHW: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """Each pixel four times, between the nearer halves of the rows above and below; by one copy."""
    count, channels, rows, columns = x_NCHW.shape
    doubled = x_NCHW.new_empty(count, 2 * rows + 2, columns, 2, channels)
    inner = doubled[:, 1:-1].unflatten(1, (rows, 2))
    inner.copy_(x_NCHW.permute(0, 2, 3, 1)[:, :, None, :, None].expand_as(inner))
    doubled[:, :1] = above.permute(0, 2, 3, 1)[:, :, :, None]
    doubled[:, -1:] = below.permute(0, 2, 3, 1)[:, :, :, None]
    return doubled.flatten(2, 3).permute(0, 3, 1, 2)


def each_pixel_four_times(x_NCHW: torch.Tensor) -> torch.Tensor:
    """Pictures of twice the rows and columns, as `interpolate` to the nearest gives them, in channels-last.

    On a GPU a plain copy: torch's kernel for channels-last took 22 ms of the 311 ms in which 33 frames of
    448x768 were decoded (NVIDIA H200, torch 2.11), several times what their bytes take.
    """
    if x_NCHW.device.type != "cuda":
        return functional.interpolate(x_NCHW, scale_factor=2.0, mode="nearest-exact")
    return repeated_pixels(x_NCHW)


def repeated_pixels(x_NCHW: torch.Tensor) -> torch.Tensor:
    """Each pixel in two rows and two columns, by a copy that reads the memory in its order."""
    count, channels, rows, columns = x_NCHW.shape
    x_NHWC = x_NCHW.permute(0, 2, 3, 1)
    four = x_NHWC[:, :, None, :, None].expand(count, rows, 2, columns, 2, channels)
    return four.reshape(count, 2 * rows, 2 * columns, channels).contiguous().permute(0, 3, 1, 2)


def half_size(x_BCTHW: torch.Tensor, kernel: ConvKernel, below: torch.Tensor | None = None) -> torch.Tensor:
    """A convolution of single frames with stride 2; beyond the right and lower edges zeros, or `below`."""
    pictures = functional.pad(frames_of(x_BCTHW), (0, 1, 0, 1))
    if below is not None:
        pictures[:, :, -1:, :-1] = frames_of(below)
    return video_of(convolve(pictures, kernel, (0, 0)), x_BCTHW.shape[0])


def double_frames(
    x_BCTHW: torch.Tensor, past: PastFrames, kernel: ConvKernel
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two frames of each: the halves of the channels in turn; also what the next chunk needs."""
    doubled, past = causal(x_BCTHW, past, kernel)
    even, odd = doubled.chunk(2, dim=1)
    batch, width, frames, rows, columns = even.shape
    video = even.new_empty((batch, 2 * frames, rows, columns, width)).permute(0, 4, 1, 2, 3)
    video[:, :, ::2], video[:, :, 1::2] = even, odd
    return video, past


def half_frames(
    x_BCTHW: torch.Tensor, past: torch.Tensor, kernel: ConvKernel
) -> tuple[torch.Tensor, torch.Tensor]:
    """One frame of each two and the one before; also what the next chunk needs."""
    joined = torch.cat((past, x_BCTHW), dim=2)
    return convolve(joined, kernel, (0, 0, 0)), last_frames(joined, 1)
