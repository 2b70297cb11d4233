"""sRGB to CIE Lab and back (D65, 2 degree observer), in float32 on the tensor's own device.

The constants are those of IEC 61966-2-1 and CIE 15, with the rounding that scikit-image uses: the goldens
were made with it. Channels are combined one by one rather than by a matrix product, which a host may run in
TF32.

Shape letters: X any leading dimensions; the last one holds the three channels.
"""

import torch

XYZ_OF_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
RGB_OF_XYZ = (
    (3.24048134, -1.53715152, -0.49853633),
    (-0.96925495, 1.87599000, 0.04155593),
    (0.05564664, -0.20404134, 1.05731107),
)
WHITE_XYZ = (0.95047, 1.0, 1.08883)


def lab_of_rgb(rgb_X3: torch.Tensor) -> torch.Tensor:
    """Lab of sRGB values in 0..1: L in 0..100, a and b around 0; float32, same shape."""
    rgb = rgb_X3.float()
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055).clamp(min=0) ** 2.4, rgb / 12.92)
    xyz = _combine(linear, XYZ_OF_RGB)
    x, y, z = (_lightness(channel / white) for channel, white in zip(xyz, WHITE_XYZ, strict=True))
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def rgb_of_lab(lab_X3: torch.Tensor) -> torch.Tensor:
    """The sRGB values of Lab, clipped to 0..1; float32, same shape."""
    lightness, a, b = lab_X3.float().unbind(-1)
    y = (lightness + 16) / 116
    roots = (y + a / 500, y, (y - b / 200).clamp(min=0))
    xyz = torch.stack(
        [_lightness_inverse(root) * white for root, white in zip(roots, WHITE_XYZ, strict=True)], dim=-1
    )
    linear = torch.stack(_combine(xyz, RGB_OF_XYZ), dim=-1)
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curved, linear * 12.92).clamp(0, 1)


def _combine(values_X3: torch.Tensor, matrix: tuple[tuple[float, float, float], ...]) -> list[torch.Tensor]:
    first, second, third = values_X3.unbind(-1)
    return [first * row[0] + second * row[1] + third * row[2] for row in matrix]


def _lightness(share_of_white: torch.Tensor) -> torch.Tensor:
    root = share_of_white.clamp(min=0.008856) ** (1 / 3)
    return torch.where(share_of_white > 0.008856, root, 7.787 * share_of_white + 16 / 116)


def _lightness_inverse(root: torch.Tensor) -> torch.Tensor:
    return torch.where(root > 0.2068966, root**3, (root - 16 / 116) / 7.787)
