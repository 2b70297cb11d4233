import math

import pyloudnorm
import pytest
import torch
from evertalk_pack.multitalk.speech.loudness import (
    TARGET_LUFS,
    loudness_of_pieces,
    speech_gain,
    with_gain,
)
from tiny_speech import speech_like


def noise(num_samples: int, level: float) -> torch.Tensor:
    return level * torch.randn(num_samples, generator=torch.Generator().manual_seed(1))


def lufs(samples_T: torch.Tensor) -> float | None:
    return loudness_of_pieces([samples_T], 16_000)


def at_loudness(samples_T: torch.Tensor, target_lufs: float = TARGET_LUFS) -> torch.Tensor:
    """What the speech of a run is brought to."""
    return with_gain(samples_T, speech_gain(lufs(samples_T), target_lufs))


@pytest.mark.parametrize("sample_rate_hz", [16_000, 44_100, 11_111])
@pytest.mark.parametrize("duration_s", [0.4, 0.45, 1, 3.217, 30])
@pytest.mark.parametrize("piece", [1 << 20, 5000, 777])
def test_sound_in_pieces_measures_what_pyloudnorm_measures(
    sample_rate_hz: int, duration_s: float, piece: int
) -> None:
    samples_T = speech_like(math.ceil(duration_s * sample_rate_hz))
    expected = pyloudnorm.Meter(sample_rate_hz).integrated_loudness(samples_T.numpy())
    found = loudness_of_pieces(samples_T.split(piece), sample_rate_hz)
    assert found == pytest.approx(expected, abs=1e-9)


def test_empty_pieces_change_nothing() -> None:
    samples_T = noise(32_000, 0.1)
    nothing = torch.zeros(0)
    pieces = (nothing, samples_T[:9000], nothing, samples_T[9000:], nothing)
    assert loudness_of_pieces(pieces, 16_000) == loudness_of_pieces([samples_T], 16_000)


@pytest.mark.parametrize("level", [1e-3, 0.05, 0.9])
def test_quiet_and_loud_sounds_are_brought_to_the_same_loudness(level: float) -> None:
    speech_T = at_loudness(noise(32000, level))
    assert lufs(speech_T) == pytest.approx(TARGET_LUFS, abs=1e-4)
    assert speech_T.dtype == torch.float32


def test_another_loudness_can_be_asked_for() -> None:
    assert lufs(at_loudness(noise(32000, 0.05), -16)) == pytest.approx(-16, abs=1e-4)


def test_digital_silence_is_left_as_it_is() -> None:
    silence = torch.zeros(16000)
    assert lufs(silence) == -torch.inf
    assert at_loudness(silence) is silence


def test_less_than_a_measuring_block_is_left_as_it_is() -> None:
    short = noise(6399, 0.01)
    assert lufs(short) is None
    assert at_loudness(short) is short


def test_exactly_one_measuring_block_is_measured() -> None:
    assert lufs(at_loudness(noise(6400, 0.01))) == pytest.approx(TARGET_LUFS, abs=1e-4)


def test_sound_below_the_gate_is_left_as_it_is() -> None:
    faint = noise(16000, 1e-6)
    assert at_loudness(faint) is faint
