import pytest
import torch
from evertalk_pack.multitalk.lab import lab_of_rgb, rgb_of_lab


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1.0, 1.0, 1.0), (100.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (53.24, 80.09, 67.20)),
        ((0.0, 0.0, 1.0), (32.30, 79.19, -107.86)),
    ],
)
def test_known_colours_have_their_published_lab_values(
    rgb: tuple[float, float, float], lab: tuple[float, float, float]
) -> None:
    torch.testing.assert_close(lab_of_rgb(torch.tensor(rgb)), torch.tensor(lab), atol=0.02, rtol=0)


def test_lab_and_back_returns_the_colour() -> None:
    rgb = torch.rand(20, 30, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rgb_of_lab(lab_of_rgb(rgb)), rgb, atol=2e-5, rtol=0)


def test_colours_outside_srgb_come_back_clipped() -> None:
    rgb = rgb_of_lab(torch.tensor([[150.0, 0.0, 0.0], [50.0, 200.0, 200.0], [-20.0, 0.0, 0.0]]))
    assert rgb.min() == 0
    assert rgb.max() == 1


def test_half_precision_is_computed_in_float32() -> None:
    rgb = torch.rand(8, 3, generator=torch.Generator().manual_seed(0)).half()
    assert torch.equal(lab_of_rgb(rgb), lab_of_rgb(rgb.float()))
