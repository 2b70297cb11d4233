import pytest
import torch
from evertalk_pack.wanvideo.schedule import (
    MULTITALK_TIMESTEPS,
    fixed_timesteps,
    infinitetalk_timesteps,
    shift_timesteps,
    sigmas_of,
)


def test_multitalk_is_four_fixed_timesteps_and_zero() -> None:
    assert fixed_timesteps(MULTITALK_TIMESTEPS, 1.0).tolist() == [1000, 750, 500, 250, 0]


def test_shift_moves_timesteps_toward_noise() -> None:
    expected = [1000.0, 1000 * 33 / 34, 1000 * 11 / 12, 1000 * 11 / 14, 0.0]
    assert fixed_timesteps(MULTITALK_TIMESTEPS, 11.0).tolist() == pytest.approx(expected, rel=1e-5)


def test_infinitetalk_with_four_steps_and_shift_11_is_the_published_list() -> None:
    assert infinitetalk_timesteps(4, 11.0).tolist() == pytest.approx([1000, 956.6, 846.5, 10.9, 0], abs=0.1)


@pytest.mark.parametrize("steps", [1, 2, 40])
def test_infinitetalk_has_as_many_steps_as_asked_and_ends_at_zero(steps: int) -> None:
    timesteps = infinitetalk_timesteps(steps, 7.0)
    assert len(timesteps) == steps + 1
    assert (timesteps[0], timesteps[-1]) == (1000, 0)
    assert (timesteps.diff() < 0).all()


def test_shift_one_changes_nothing() -> None:
    timesteps = torch.tensor([1000.0, 333.0, 1.0, 0.0])
    assert torch.allclose(shift_timesteps(timesteps, 1.0), timesteps)


def test_a_sigma_is_a_timestep_over_1000() -> None:
    assert sigmas_of(torch.tensor([1000.0, 250.0])).tolist() == [1.0, 0.25]
