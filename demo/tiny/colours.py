"""How the tiny models write a colour into a latent.

They use the coarse map from latents to RGB that ComfyUI previews Wan 2.1 latents with, and its inverse: so
the preview of a tiny run shows the picture's true colours.
"""

from collections.abc import Sequence

import torch

LATENT_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
LATENT_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
"""Mean and standard deviation of the latents that Wan 2.1 was trained on (its VAE's published constants)."""

RGB_OF_LATENT = (
    (-0.1299, -0.1692, 0.2932), (0.0671, 0.0406, 0.0442), (0.3568, 0.2548, 0.1747),
    (0.0372, 0.2344, 0.1420), (0.0313, 0.0189, -0.0328), (0.0296, -0.0956, -0.0665),
    (-0.3477, -0.4059, -0.2925), (0.0166, 0.1902, 0.1975), (-0.0412, 0.0267, -0.1364),
    (-0.1293, 0.0740, 0.1636), (0.0680, 0.3019, 0.1128), (0.0032, 0.0581, 0.0639),
    (-0.1251, 0.0927, 0.1699), (0.0060, -0.0633, 0.0005), (0.3477, 0.2275, 0.2950),
    (0.1984, 0.0913, 0.1861),
)  # fmt: skip
RGB_BIAS = (-0.1835, -0.0868, -0.3360)
"""The published linear fit of colours in -1..1 to normalised Wan 2.1 latents."""


def decode_matrix() -> tuple[torch.Tensor, torch.Tensor]:
    """Matrix (3, 16) and offset (3,) from a latent as the VAE holds it to RGB in -1..1."""
    matrix = _double(RGB_OF_LATENT).T / _double(LATENT_STD)
    return matrix, _double(RGB_BIAS) - matrix @ _double(LATENT_MEAN)


def encode_matrix() -> tuple[torch.Tensor, torch.Tensor]:
    """Matrix (16, 3) and offset (16,) from RGB in -1..1 to the latent of that colour nearest to the mean."""
    normalised = torch.linalg.pinv(_double(RGB_OF_LATENT).T)
    std = _double(LATENT_STD)
    offset = _double(LATENT_MEAN) - std * (normalised @ _double(RGB_BIAS))
    return std[:, None] * normalised, offset


def luminance_step() -> torch.Tensor:
    """The normalised latent (16,) by which a colour grows lighter by 1, on the scale -1..1."""
    matrix, _ = encode_matrix()
    return matrix.sum(1) / _double(LATENT_STD)


def _double(values: Sequence[float] | Sequence[Sequence[float]]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)
