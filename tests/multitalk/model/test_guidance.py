import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.model.guidance import (
    ApgState,
    Branch,
    GuidanceSettings,
    branches_needed,
    combine,
)
from hypothesis import given
from hypothesis import strategies as st

SHAPE = (1, 4, 3, 5, 6)


def predictions(seed: int = 0) -> dict[Branch, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {branch: torch.randn(SHAPE, generator=generator) for branch in Branch}


def guide(
    settings: GuidanceSettings, *, audio_active: bool = True, state: ApgState | None = None, seed: int = 0
) -> tuple[torch.Tensor, ApgState]:
    given_predictions = predictions(seed)
    needed = {
        branch: given_predictions[branch] for branch in branches_needed(settings, audio_active=audio_active)
    }
    return combine(needed, settings, state or ApgState())


@pytest.mark.parametrize(
    ("text", "audio", "needed"),
    [
        (1, 1, (Branch.FULL,)),
        (1, 4, (Branch.FULL, Branch.NO_AUDIO)),
        (5, 1, (Branch.FULL, Branch.NO_TEXT)),
        (5, 4, (Branch.FULL, Branch.NO_TEXT, Branch.NONE)),
        (1, 0, (Branch.NO_AUDIO,)),
        (5, 0, (Branch.NO_AUDIO, Branch.NONE)),
        (0, 4, (Branch.FULL, Branch.NO_TEXT, Branch.NONE)),
    ],
)
@pytest.mark.parametrize("apg", [False, True])
def test_scales_ask_for_the_fewest_predictions(
    text: float, audio: float, needed: tuple[Branch, ...], apg: bool
) -> None:
    settings = GuidanceSettings(text_scale=text, audio_scale=audio, apg=apg)
    assert branches_needed(settings, audio_active=True) == needed


@pytest.mark.parametrize(("text", "needed"), [(1, (Branch.FULL,)), (5, (Branch.FULL, Branch.NO_TEXT))])
def test_outside_its_range_audio_guidance_costs_no_prediction_and_audio_still_conditions(
    text: float, needed: tuple[Branch, ...]
) -> None:
    assert branches_needed(GuidanceSettings(text, audio_scale=4), audio_active=False) == needed


def test_audio_scale_zero_is_silent_outside_the_range_too() -> None:
    settings = GuidanceSettings(1.0, audio_scale=0, audio_end_percent=0.5)
    assert branches_needed(settings, audio_active=False) == (Branch.NO_AUDIO,)


scales = st.floats(0, 10) | st.sampled_from([0.0, 1.0])


@given(text=scales, audio=scales.filter(lambda scale: scale > 0))
def test_every_reduced_set_equals_the_full_formula(text: float, audio: float) -> None:
    given_predictions = predictions()
    full, no_text = given_predictions[Branch.FULL], given_predictions[Branch.NO_TEXT]
    no_audio, none = given_predictions[Branch.NO_AUDIO], given_predictions[Branch.NONE]
    settings = GuidanceSettings(text, audio)
    # with the text scale off, the authors take the audio direction at the positive prompt
    text_off = Branch.NO_AUDIO in branches_needed(settings, audio_active=True)
    direction = no_audio + audio * (full - no_audio) if text_off else none + audio * (no_text - none)
    expected = direction if text_off else direction + text * (full - no_text)
    torch.testing.assert_close(guide(settings)[0], expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("apg", [False, True])
@pytest.mark.parametrize("text", [1.0, 5.0])
def test_audio_scale_zero_uses_no_prediction_that_has_heard_the_audio(text: float, apg: bool) -> None:
    needed = branches_needed(GuidanceSettings(text, audio_scale=0, apg=apg), audio_active=True)
    assert not {Branch.FULL, Branch.NO_TEXT} & set(needed)


def test_audio_scale_zero_still_follows_the_prompt() -> None:
    no_audio, none = predictions()[Branch.NO_AUDIO], predictions()[Branch.NONE]
    assert torch.equal(guide(GuidanceSettings(1.0, audio_scale=0))[0], no_audio)
    expected = none + 5 * (no_audio - none)
    torch.testing.assert_close(guide(GuidanceSettings(5.0, audio_scale=0))[0], expected, atol=1e-5, rtol=1e-5)


def test_apg_update_is_orthogonal_to_the_full_prediction() -> None:
    guided, _ = guide(GuidanceSettings(1.0, 3.0, apg=True))
    full = predictions()[Branch.FULL]
    update = (guided - full).double()
    assert abs(float((update * full.double()).sum())) < 1e-4 * float(update.norm() * full.double().norm())


def test_apg_limits_the_length_of_a_direction() -> None:
    guided, _ = guide(GuidanceSettings(1.0, 2.0, apg=True, apg_norm_threshold=0.5))
    assert float((guided - predictions()[Branch.FULL]).norm()) <= 0.5 + 1e-4


def test_apg_threshold_zero_leaves_the_length_alone() -> None:
    unlimited = guide(GuidanceSettings(1.0, 2.0, apg=True, apg_norm_threshold=0))[0]
    large = guide(GuidanceSettings(1.0, 2.0, apg=True, apg_norm_threshold=1e6))[0]
    assert torch.equal(unlimited, large)


def test_apg_momentum_carries_the_direction_of_the_step_before() -> None:
    settings = GuidanceSettings(1.0, 2.0, apg=True, apg_momentum=-0.5)
    _, first = guide(settings)
    _, second = guide(settings, state=first, seed=1)
    assert first.audio is not None
    assert second.audio is not None
    fresh = predictions(1)[Branch.FULL] - predictions(1)[Branch.NO_AUDIO]
    torch.testing.assert_close(second.audio, fresh - 0.5 * first.audio)
    assert second.text is None


def test_an_unused_direction_keeps_its_momentum() -> None:
    settings = GuidanceSettings(5.0, 2.0, apg=True)
    _, state = guide(settings)
    _, kept = guide(settings, audio_active=False, state=state, seed=1)
    assert kept.audio is state.audio
    assert kept.text is not state.text


def test_a_batch_is_guided_item_by_item() -> None:
    settings = GuidanceSettings(5.0, 4.0, apg=True, apg_norm_threshold=3)
    both = {
        branch: torch.cat([predictions(0)[branch], predictions(1)[branch]])
        for branch in branches_needed(settings, audio_active=True)
    }
    together, _ = combine(both, settings, ApgState())
    apart = torch.cat([guide(settings, seed=0)[0], guide(settings, seed=1)[0]])
    torch.testing.assert_close(together, apart)


def test_a_set_of_branches_that_is_never_listed_is_refused() -> None:
    with pytest.raises(AssertionError, match="no such set"):
        combine(predictions(), GuidanceSettings(), ApgState())


@pytest.mark.parametrize(
    ("start", "end", "progress", "active"),
    [
        (0, 1, 0.0, True),
        (0, 1, 1.0, True),
        (0.2, 0.8, 0.1, False),
        (0.2, 0.8, 0.2, True),
        (0.2, 0.8, 0.8, False),
        (0, 0, 0.0, False),
    ],
)
def test_the_audio_scale_applies_from_its_start_to_before_its_end(
    start: float, end: float, progress: float, active: bool
) -> None:
    settings = GuidanceSettings(audio_start_percent=start, audio_end_percent=end)
    assert settings.audio_active(progress) == active


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_scale": -1.0}, "text_scale is -1"),
        ({"audio_scale": float("nan")}, "audio_scale is nan"),
        ({"apg_momentum": 1.0}, "apg_momentum is 1"),
        ({"apg_norm_threshold": -2.0}, "apg_norm_threshold is -2"),
        ({"audio_start_percent": 0.9, "audio_end_percent": 0.1}, "audio_end_percent is 0.1, before .* 0.9"),
        ({"audio_end_percent": 1.2}, "audio_end_percent is 1.2; .*from 0 to 1"),
        ({"audio_start_percent": float("nan")}, "audio_start_percent is nan"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GuidanceSettings(**settings)  # pyright: ignore[reportArgumentType]
