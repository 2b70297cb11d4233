import torch
from lipsync import colour_drift, correlation, measure_sync, openings_px, psnr_db


def wave() -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(120, generator=generator).unfold(0, 5, 1).mean(dim=-1)


def test_a_mouth_that_follows_has_correlation_one_and_no_lag() -> None:
    law = wave()
    sync = measure_sync(3 + 10 * law, law)
    assert sync.correlation > 0.999
    assert sync.lag == 0


def test_a_late_mouth_has_a_positive_lag_and_an_early_one_a_negative() -> None:
    law = wave()
    late = measure_sync(law.roll(4), law)
    assert late.lag == 4
    assert late.best > 0.98
    assert late.correlation < 0.6
    assert measure_sync(law.roll(-3), law).lag == -3


def test_what_does_not_move_follows_nothing() -> None:
    assert correlation(torch.ones(30), wave()[:30]) == 0.0


def test_a_picture_without_a_mouth_measures_zero() -> None:
    assert float(openings_px(torch.full((2, 32, 32, 3), 0.6)).max()) == 0


def test_only_the_asked_columns_are_measured() -> None:
    picture = torch.full((1, 32, 32, 3), 0.6)
    picture[:, 10:16, 20:28] = torch.tensor([0.78, 0.06, 0.24])
    assert float(openings_px(picture, slice(0, 16))) == 0
    assert float(openings_px(picture, slice(16, 32))) == 6


def test_drift_is_the_worst_channels_change_of_mean_colour() -> None:
    reference = torch.full((8, 8, 3), 0.5)
    frames = reference.repeat(3, 1, 1, 1)
    frames[..., 2] += 0.03
    assert abs(colour_drift(frames, reference) - 0.03) < 1e-6


def test_a_swaying_edge_is_no_drift() -> None:
    reference, swayed = torch.full((2, 32, 32, 3), 0.2)
    reference[:, 12:] = 0.8
    swayed[:, 14:] = 0.8
    assert colour_drift(swayed[None], reference) < 1e-6
    assert colour_drift(1.1 * swayed[None], reference) > 0.04


def test_psnr_of_an_error_of_a_tenth_is_twenty_decibels() -> None:
    assert abs(psnr_db(torch.zeros(4, 4), torch.full((4, 4), 0.1)) - 20) < 1e-4
