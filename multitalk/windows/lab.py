"""sRGB to CIE Lab and back (D65, 2 degree observer), in float32 on the tensor's own device.

The constants are those of IEC 61966-2-1 and CIE 15, with the rounding that scikit-image uses: the goldens
were made with it. Channels are combined one by one rather than by a matrix product, which a host may run in
TF32; and they are planes of their own, since on a CPU every third value of a picture is slow to come by.

Shape letters: X any dimensions; a last one of 3 holds the channels.
"""

from collections.abc import Sequence

import torch

XYZ_OF_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
RGB_OF_XYZ = (
    (3.24048134, -1.53715152, -0.49853633),
    (-0.96925495, 1.87599000, 0.04155593),
    (0.05564664, -0.20404134, 1.05731107),
)
WHITE_XYZ = (0.95047, 1.0, 1.08883)


def planes_of(values_X3: torch.Tensor) -> list[torch.Tensor]:
    """The channels, float32, each in one stretch of memory."""
    return [channel_X.float().contiguous() for channel_X in values_X3.unbind(-1)]


def lab_planes(rgb_3X: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Lab of sRGB values in 0..1, channel by channel: L in 0..100, a and b around 0; float32."""
    linear_3X = [_linear(channel_X) for channel_X in rgb_3X]
    xyz_3X = _combine(linear_3X, XYZ_OF_RGB)
    x, y, z = (_lightness(channel_X.div_(white)) for channel_X, white in zip(xyz_3X, WHITE_XYZ, strict=True))
    return [116 * y - 16, (x - y).mul_(500), (y - z).mul_(200)]


def rgb_planes(lab_3X: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The sRGB values of Lab, clipped to 0..1; channel by channel, float32."""
    lightness, a, b = lab_3X
    y = (lightness + 16).div_(116)
    roots_3X = (a / 500 + y, y, (y - b / 200).clamp_(min=0))
    xyz_3X = [_lightness_inverse(root).mul_(white) for root, white in zip(roots_3X, WHITE_XYZ, strict=True)]
    return [_curved(channel_X).clamp_(0, 1) for channel_X in _combine(xyz_3X, RGB_OF_XYZ)]


def _linear(curved: torch.Tensor) -> torch.Tensor:
    power = power_((curved + 0.055).div_(1.055).clamp_(min=0), 2.4)
    return torch.where(curved > 0.04045, power, curved / 12.92)


def _curved(linear: torch.Tensor) -> torch.Tensor:
    power = power_(linear.clamp(min=0.0031308), 1 / 2.4)
    return torch.where(linear > 0.0031308, power.mul_(1.055).sub_(0.055), linear * 12.92)


def _lightness(share_of_white: torch.Tensor) -> torch.Tensor:
    root = power_(share_of_white.clamp(min=0.008856), 1 / 3)
    return torch.where(share_of_white > 0.008856, root, (7.787 * share_of_white).add_(16 / 116))


def _lightness_inverse(root: torch.Tensor) -> torch.Tensor:
    return torch.where(root > 0.2068966, root * root * root, (root - 16 / 116).div_(7.787))


def _combine(values_3X: Sequence[torch.Tensor], matrix: Sequence[Sequence[float]]) -> list[torch.Tensor]:
    first, second, third = values_3X
    return [(first * row[0]).add_(second, alpha=row[1]).add_(third, alpha=row[2]) for row in matrix]


def power_(values: torch.Tensor, exponent: float) -> torch.Tensor:
    """A power of 0 to about 1, in place: within 5e-7 of torch.pow, in a third of its time."""
    return values.log_().mul_(exponent).exp_()
