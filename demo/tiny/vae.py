"""A tiny Wan 2.1 VAE that is wired by hand: 8x8 blocks of colour in, a smooth picture out.

Every layer of the real class is there and runs. The residual branches are faint noise, so their shortcuts
carry the picture; the down- and upsampling convolutions average and interpolate; and the two heads undo their
own SiLU (silu(u) - silu(-u) = u) and their norm: one channel is a constant so large that it alone makes the
norm. In the decoder that channel is interpolated like the picture, so that dividing by it cancels the rim
of zero padding.
"""

from itertools import pairwise

import torch

from .colours import decode_matrix, encode_matrix
from .transformer import Weights, normal

DIM = 8
Z_DIM = 16
WIDTHS = (DIM, DIM, 2 * DIM, 4 * DIM, 4 * DIM)
RGB = slice(0, 3)
MINUS_RGB = slice(4, 7)
ONE = 3
"""The channel that carries the constant."""

LARGE = 64.0
"""The constant: so far above a colour (1) that the norm is constant to 0.1 %."""

BILINEAR = 0.25
"""After doubling each pixel, (1, 2, 1)/4 is bilinear interpolation."""

SHARPENING = 0.23
"""What three such interpolations blur and a kernel on the latent undoes best (fitted to a photograph)."""

BRANCH_STD = 2e-4
"""Spread of the last convolution in a residual branch: present, not visible."""


def make_vae(generator: torch.Generator) -> Weights:
    """The weights of the tiny VAE, with the names of the Wan 2.1 VAE's."""
    weights = _encoder(generator) | _decoder(generator)
    weights |= _conv("conv1", _eye(2 * Z_DIM, 2 * Z_DIM)[..., None, None, None])
    matrix, offset = decode_matrix()
    to_rgb, bias = torch.zeros(Z_DIM, Z_DIM, dtype=torch.float64), _constant(Z_DIM, LARGE)
    to_rgb[RGB], to_rgb[MINUS_RGB] = matrix, -matrix
    bias[RGB], bias[MINUS_RGB] = offset, -offset
    weights |= _conv("conv2", to_rgb[..., None, None, None], bias)
    return {name: tensor.float().contiguous() for name, tensor in weights.items()}


def _encoder(generator: torch.Generator) -> Weights:
    weights = _conv("encoder.conv1", _centre(_both_signs(WIDTHS[0])), _constant(WIDTHS[0], LARGE))
    index = 0
    for stage, (width_in, width) in enumerate(pairwise(WIDTHS)):
        for block in range(2):
            name = f"encoder.downsamples.{index}"
            weights |= _residual(generator, name, width if block else width_in, width)
            index += 1
        if stage < 3:
            name = f"encoder.downsamples.{index}"
            weights |= _conv(f"{name}.resample.1", _average_2x2(width))
            if stage > 0:
                weights |= _conv(f"{name}.time_conv", _time_taps(_eye(width, width), (0.0, 0.5, 0.5)))
            index += 1
    weights |= _middle(generator, "encoder.middle", WIDTHS[-1])
    return weights | _encoder_head()


def _encoder_head() -> Weights:
    """Latents as the differences of silu(+u) and silu(-u): the head's convolution cannot do both signs alone.

    The norm leaves rgb / LARGE * sqrt(width), with the constant channel at sqrt(width): hence the scale. RGB
    is there with both signs from the first convolution on.
    """
    width = WIDTHS[-1]
    matrix, offset = encode_matrix()
    scale = LARGE / width**0.5
    kernel = torch.zeros(2 * Z_DIM, width, dtype=torch.float64)
    kernel[:Z_DIM, RGB] = matrix * scale
    kernel[:Z_DIM, MINUS_RGB] = -matrix * scale
    bias = torch.zeros(2 * Z_DIM, dtype=torch.float64)
    bias[:Z_DIM] = offset
    return {"encoder.head.0.gamma": torch.ones(width, 1, 1, 1)} | _conv(
        "encoder.head.2", _centre(kernel), bias
    )


def _decoder(generator: torch.Generator) -> Weights:
    widths = (WIDTHS[-1], WIDTHS[-1], WIDTHS[-1], WIDTHS[-3], WIDTHS[-4])
    sharpen = torch.zeros(widths[0], Z_DIM, 3, 3, 3, dtype=torch.float64)
    sharpen[:, :, 2] = _separable(_eye(widths[0], Z_DIM), -SHARPENING)
    weights = _conv("decoder.conv1", sharpen)
    weights |= _middle(generator, "decoder.middle", widths[0])
    index = 0
    for stage, (width_in, width) in enumerate(pairwise(widths)):
        entering = width_in // 2 if stage else width_in
        for block in range(3):
            name = f"decoder.upsamples.{index}"
            weights |= _residual(generator, name, width if block else entering, width)
            index += 1
        if stage < 3:
            name = f"decoder.upsamples.{index}"
            weights |= _conv(f"{name}.resample.1", _separable(_eye(width // 2, width), BILINEAR))
            if stage < 2:
                repeat = torch.cat([_eye(width, width), _eye(width, width)])
                weights |= _conv(f"{name}.time_conv", _time_taps(repeat, (0.0, 0.0, 1.0)))
            index += 1
    return weights | _decoder_head(widths[-1])


def _decoder_head(width: int) -> Weights:
    kernel = torch.zeros(3, width, dtype=torch.float64)
    scale = LARGE / width**0.5
    for channel in range(3):
        kernel[channel, channel], kernel[channel, MINUS_RGB.start + channel] = scale, -scale
    return {"decoder.head.0.gamma": torch.ones(width, 1, 1, 1)} | _conv("decoder.head.2", _centre(kernel))


def _middle(generator: torch.Generator, name: str, width: int) -> Weights:
    """Two residual blocks around an attention, all three faint."""
    attention = f"{name}.1"
    weights = _residual(generator, f"{name}.0", width, width) | _residual(
        generator, f"{name}.2", width, width
    )
    weights |= {f"{attention}.norm.gamma": torch.ones(width, 1, 1)}
    weights |= _conv(f"{attention}.to_qkv", normal(generator, (3 * width, width, 1, 1), width**-0.5))
    return weights | _conv(f"{attention}.proj", normal(generator, (width, width, 1, 1), BRANCH_STD))


def _residual(generator: torch.Generator, name: str, width_in: int, width: int) -> Weights:
    spread = (27 * width_in) ** -0.5
    weights = {
        f"{name}.residual.0.gamma": torch.ones(width_in, 1, 1, 1),
        f"{name}.residual.3.gamma": torch.ones(width, 1, 1, 1),
    }
    weights |= _conv(f"{name}.residual.2", normal(generator, (width, width_in, 3, 3, 3), spread))
    weights |= _conv(f"{name}.residual.6", normal(generator, (width, width, 3, 3, 3), BRANCH_STD))
    if width_in != width:
        weights |= _conv(f"{name}.shortcut", _eye(width, width_in)[..., None, None, None])
    return weights


def _conv(name: str, kernel: torch.Tensor, bias: torch.Tensor | None = None) -> Weights:
    return {f"{name}.weight": kernel, f"{name}.bias": torch.zeros(kernel.shape[0]) if bias is None else bias}


def _eye(rows: int, columns: int) -> torch.Tensor:
    return torch.eye(rows, columns, dtype=torch.float64)


def _constant(width: int, value: float) -> torch.Tensor:
    bias = torch.zeros(width, dtype=torch.float64)
    bias[ONE] = value
    return bias


def _both_signs(rows: int) -> torch.Tensor:
    """RGB into channels 0..2 and their negatives into 4..6."""
    matrix = torch.zeros(rows, 3, dtype=torch.float64)
    for channel in range(3):
        matrix[channel, channel], matrix[MINUS_RGB.start + channel, channel] = 1, -1
    return matrix


def _centre(matrix: torch.Tensor) -> torch.Tensor:
    """A 3x3x3 kernel that applies `matrix` to the current frame (the last tap, convolutions are causal)."""
    kernel = torch.zeros(*matrix.shape, 3, 3, 3, dtype=torch.float64)
    kernel[..., 2, 1, 1] = matrix
    return kernel


def _time_taps(matrix: torch.Tensor, taps: tuple[float, float, float]) -> torch.Tensor:
    return matrix[..., None, None, None] * torch.tensor(taps, dtype=torch.float64)[:, None, None]


def _average_2x2(width: int) -> torch.Tensor:
    """Stride 2 with padding on the far side: the block is the kernel's first two rows and columns."""
    kernel = torch.zeros(width, width, 3, 3, dtype=torch.float64)
    kernel[:, :, :2, :2] = _eye(width, width)[..., None, None] / 4
    return kernel


def _separable(matrix: torch.Tensor, side: float) -> torch.Tensor:
    """A 3x3 kernel that applies `matrix` to (side, 1 - 2 side, side) each way."""
    taps = torch.tensor([side, 1 - 2 * side, side], dtype=torch.float64)
    return matrix[..., None, None] * taps[:, None] * taps
