import torch
from evertalk_pack.multitalk.windows.noise import SEED_RANGE, seeded_noise, window_seed

SHAPE = (1, 16, 3, 8, 8)


def test_a_window_s_noise_can_be_made_again_alone() -> None:
    whole = [seeded_noise(7, index)(SHAPE) for index in range(4)]
    assert torch.equal(seeded_noise(7, 3)(SHAPE), whole[3])


def test_windows_and_seeds_have_noise_of_their_own() -> None:
    drawn = [seeded_noise(seed, index)(SHAPE) for seed in (0, 1, 2) for index in range(4)]
    correlations = torch.corrcoef(torch.stack([noise.flatten() for noise in drawn])) - torch.eye(12)
    assert correlations.abs().max() < 0.15


def test_each_draw_of_a_window_is_fresh_and_their_order_is_fixed() -> None:
    first, again = seeded_noise(3, 1), seeded_noise(3, 1)
    draws = first(SHAPE), first(SHAPE)
    assert not torch.equal(*draws)
    assert torch.equal(again(SHAPE), draws[0])
    assert torch.equal(again(SHAPE), draws[1])


def test_noise_is_standard_normal_float32_on_the_cpu() -> None:
    noise = seeded_noise(0, 0)((1, 16, 8, 32, 32))
    assert noise.dtype == torch.float32
    assert noise.device.type == "cpu"
    assert abs(noise.mean().item()) < 0.02
    assert abs(noise.std().item() - 1) < 0.02


def test_the_first_window_uses_the_seed_itself_and_later_ones_stay_in_range() -> None:
    assert window_seed(12345, 0) == 12345
    seeds = [window_seed(SEED_RANGE - 1, index) for index in range(1000)]
    assert all(0 <= seed < SEED_RANGE for seed in seeds)
    assert len(set(seeds)) == 1000
