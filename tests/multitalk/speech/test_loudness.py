import math

import pyloudnorm
import pytest
import torch
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.speech.loudness import (
    TARGET_LUFS,
    at_speech_loudness,
    loudness_lufs,
    loudness_of_pieces,
)
from tiny_speech import speech_like


def noise(num_samples: int, level: float) -> Waveform:
    generator = torch.Generator().manual_seed(1)
    return Waveform(level * torch.randn(1, num_samples, generator=generator), 16000)


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
    samples_T = noise(32_000, 0.1).samples_CT[0]
    nothing = torch.zeros(0)
    pieces = (nothing, samples_T[:9000], nothing, samples_T[9000:], nothing)
    assert loudness_of_pieces(pieces, 16_000) == loudness_of_pieces([samples_T], 16_000)


@pytest.mark.parametrize("level", [1e-3, 0.05, 0.9])
def test_quiet_and_loud_sounds_are_brought_to_the_same_loudness(level: float) -> None:
    speech = at_speech_loudness(noise(32000, level))
    assert loudness_lufs(speech) == pytest.approx(TARGET_LUFS, abs=1e-4)
    assert speech.samples_CT.dtype == torch.float32


def test_another_loudness_can_be_asked_for() -> None:
    assert loudness_lufs(at_speech_loudness(noise(32000, 0.05), -16)) == pytest.approx(-16, abs=1e-4)


def test_digital_silence_is_left_as_it_is() -> None:
    silence = Waveform(torch.zeros(1, 16000), 16000)
    assert loudness_lufs(silence) == -torch.inf
    assert at_speech_loudness(silence) is silence


def test_less_than_a_measuring_block_is_left_as_it_is() -> None:
    short = noise(6399, 0.01)
    assert loudness_lufs(short) is None
    assert at_speech_loudness(short) is short


def test_exactly_one_measuring_block_is_measured() -> None:
    assert loudness_lufs(at_speech_loudness(noise(6400, 0.01))) == pytest.approx(TARGET_LUFS, abs=1e-4)


def test_sound_below_the_gate_is_left_as_it_is() -> None:
    faint = noise(16000, 1e-6)
    assert at_speech_loudness(faint) is faint


def test_two_channels_are_no_speech() -> None:
    with pytest.raises(AssertionError, match="one channel, not 2"):
        loudness_lufs(Waveform(torch.zeros(2, 10), 16000))
