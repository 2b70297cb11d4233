import pytest
import torch
from evertalk_pack.multitalk.windows.lab import lab_planes, planes_of, power_, rgb_planes


def lab_of_rgb(rgb_X3: torch.Tensor) -> torch.Tensor:
    return torch.stack(lab_planes(planes_of(rgb_X3)), dim=-1)


def rgb_of_lab(lab_X3: torch.Tensor) -> torch.Tensor:
    return torch.stack(rgb_planes(planes_of(lab_X3)), dim=-1)


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


def test_powers_are_those_of_torch_to_half_a_millionth() -> None:
    values = torch.linspace(0, 1, 100_001)
    for exponent in (2.4, 1 / 2.4, 1 / 3):
        torch.testing.assert_close(power_(values.clone(), exponent), values**exponent, atol=5e-7, rtol=0)


def test_values_that_are_no_numbers_stay_so() -> None:
    lab = lab_of_rgb(torch.tensor([[float("nan"), 0.5, 0.5]]))
    assert lab.isnan().any()
    assert rgb_of_lab(lab).isnan().any()


def test_neither_way_changes_what_it_was_given() -> None:
    rgb = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(0))
    lab = lab_of_rgb(rgb)
    kept_rgb, kept_lab = rgb.clone(), lab.clone()
    planes = planes_of(rgb)
    lab_planes(planes)
    rgb_planes(planes_of(lab))
    assert torch.equal(rgb, kept_rgb)
    assert torch.equal(torch.stack(planes, dim=-1), kept_rgb)
    assert torch.equal(lab, kept_lab)
