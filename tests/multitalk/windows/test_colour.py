import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.windows.colour import ColourMethod, colour_drift, match_colour
from evertalk_pack.multitalk.windows.lab import lab_planes, planes_of

BOTH = pytest.mark.parametrize("method", list(ColourMethod))


def lab_of_rgb(rgb_X3: torch.Tensor) -> torch.Tensor:
    return torch.stack(lab_planes(planes_of(rgb_X3)), dim=-1)


def picture(seed: int, *shape: int, low: float = 0.3, high: float = 0.7) -> torch.Tensor:
    noise = torch.rand(*shape, 3, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * noise


def test_lab_match_gives_each_frame_the_mean_and_spread_of_the_reference() -> None:
    matched = match_colour(picture(0, 3, 24, 32), picture(1, 20, 20, low=0.35, high=0.6), 1.0)
    reference = lab_of_rgb(picture(1, 20, 20, low=0.35, high=0.6))
    lab = lab_of_rgb(matched)
    wanted_mean = reference.mean(dim=(0, 1)).expand(3, 3)
    wanted_std = reference.std(dim=(0, 1), correction=0).expand(3, 3)
    torch.testing.assert_close(lab.mean(dim=(1, 2)), wanted_mean, atol=1e-2, rtol=0)
    torch.testing.assert_close(lab.std(dim=(1, 2), correction=0), wanted_std, atol=1e-2, rtol=0)


def test_mkl_match_gives_each_frame_the_mean_and_covariance_of_the_reference() -> None:
    reference = picture(1, 40, 40, low=0.4, high=0.6)
    reference[..., 1] = 0.5 * reference[..., 1] + 0.5 * reference[..., 0]  # correlated channels
    matched = match_colour(picture(0, 2, 40, 40), reference, 1.0, ColourMethod.MKL)
    for frame in matched:
        assert torch.allclose(frame.mean(dim=(0, 1)), reference.mean(dim=(0, 1)), atol=1e-5)
        assert torch.allclose(frame.flatten(0, 1).T.cov(), reference.flatten(0, 1).T.cov(), atol=1e-6)


@BOTH
def test_a_frame_matched_to_itself_is_unchanged(method: ColourMethod) -> None:
    frames = picture(0, 1, 24, 32)
    torch.testing.assert_close(match_colour(frames, frames[0], 1.0, method), frames, atol=2e-5, rtol=0)


def test_strength_zero_returns_the_frames_unclipped() -> None:
    frames = picture(0, 2, 8, 8) * 3 - 1
    assert torch.equal(match_colour(frames, picture(1, 8, 8), 0.0), frames)


@BOTH
def test_strength_blends_linearly_from_the_clipped_frames(method: ColourMethod) -> None:
    frames, reference = picture(0, 2, 8, 8) * 3 - 1, picture(1, 8, 8)
    full = match_colour(frames, reference, 1.0, method)
    expected = 0.7 * frames.clamp(0, 1) + 0.3 * full
    torch.testing.assert_close(match_colour(frames, reference, 0.3, method), expected)


@BOTH
@pytest.mark.parametrize("noise", [0.0, 1e-7, 2e-4])
def test_a_flat_frame_takes_the_reference_colour_without_its_noise_exploding(
    method: ColourMethod, noise: float
) -> None:
    reference = picture(1, 16, 16, low=0.0, high=1.0)
    frames = torch.full((1, 16, 16, 3), 0.4) + noise * picture(0, 1, 16, 16, low=-1, high=1)
    matched = match_colour(frames, reference, 1.0, method)
    assert matched.isfinite().all()
    assert matched.std(dim=(1, 2)).max() < 0.03  # the reference's own is 0.3
    space = lab_of_rgb if method is ColourMethod.LAB else torch.clone
    means = space(matched).mean(dim=(1, 2)), space(reference).mean(dim=(0, 1))[None]
    torch.testing.assert_close(*means, atol=0.5, rtol=0)


@BOTH
def test_the_number_of_frames_handled_at_a_time_does_not_matter(method: ColourMethod) -> None:
    frames, reference = picture(0, 5, 8, 8), picture(1, 8, 8)
    whole, in_pairs = (match_colour(frames, reference, 1.0, method, count * 8 * 8) for count in (5, 2))
    torch.testing.assert_close(in_pairs, whole, atol=1e-6, rtol=0)


def test_frames_keep_their_dtype() -> None:
    assert match_colour(picture(0, 1, 8, 8).half(), picture(1, 8, 8), 1.0).dtype == torch.float16


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_a_strength_outside_0_to_1_is_refused(strength: float) -> None:
    with pytest.raises(InputError, match="from 0"):
        match_colour(picture(0, 1, 8, 8), picture(1, 8, 8), strength)


def test_drift_is_the_lab_distance_of_mean_colours() -> None:
    grey, white = torch.full((4, 8, 8, 3), 0.5), torch.ones(8, 8, 3)
    lightness = float(lab_of_rgb(grey[0, 0, 0])[0])
    assert colour_drift(grey, white) == pytest.approx(100 - lightness, abs=0.05)
    assert colour_drift(grey, grey[0]) == 0
    assert (
        colour_drift(match_colour(picture(0, 2, 24, 24), picture(1, 24, 24), 1.0), picture(1, 24, 24)) < 0.05
    )
