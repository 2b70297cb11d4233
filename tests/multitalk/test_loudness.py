import pytest
import torch
from evertalk_pack.multitalk.loudness import TARGET_LUFS, at_speech_loudness, loudness_lufs
from evertalk_pack.multitalk.types import Waveform


def noise(num_samples: int, level: float) -> Waveform:
    generator = torch.Generator().manual_seed(1)
    return Waveform(level * torch.randn(1, num_samples, generator=generator), 16000)


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
