"""Layers of the VAE that have a form of their own on a GPU give what torch's own give."""

import pytest
import torch
from evertalk_pack.wanvideo.vae_layers import repeated_pixels
from torch.nn import functional


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 8, 3, 5), (5, 6, 4, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_pixel_four_times_is_what_interpolation_to_the_nearest_gives(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    x = x.to(memory_format=torch.channels_last)
    expected = functional.interpolate(x, scale_factor=2.0, mode="nearest-exact")
    made = repeated_pixels(x)
    assert torch.equal(made, expected)
    assert made.is_contiguous(memory_format=torch.channels_last)
