import re
from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.tensor_file import SPILL_BYTES
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.speech.soundtrack import as_long_as

RATE_HZ = 16_000


def sound(seconds: float, rate_hz: int = RATE_HZ, channels: int = 2) -> Waveform:
    samples = torch.rand(channels, round(seconds * rate_hz), generator=torch.Generator().manual_seed(3))
    return Waveform(samples, rate_hz)


def test_soundtrack_of_the_same_length_stays_as_it_is() -> None:
    music = sound(2, 44_100)
    assert as_long_as(sound(2), music) is music


@pytest.mark.parametrize(
    ("seconds", "told"), [(3.0, ["3.00 s, the speech 2.00 s, .* cut off"]), (2.03, []), (2.04, ["cut off"])]
)
def test_longer_one_is_cut_at_the_end_of_the_speech(seconds: float, told: list[str]) -> None:
    music = sound(seconds, 44_100)
    fitted = as_long_as(sound(2), music)
    assert fitted.sample_rate_hz == 44_100
    assert torch.equal(fitted.samples_CT, music.samples_CT[:, :88_200])
    assert len(fitted.notes) == len(told)
    assert all(re.search(words, note) for words, note in zip(told, fitted.notes, strict=True))


def test_shorter_one_is_followed_by_silence() -> None:
    music = sound(0.5)
    fitted = as_long_as(sound(2), music)
    assert torch.equal(fitted.samples_CT[:, :8_000], music.samples_CT)
    assert fitted.samples_CT.shape == (2, 32_000)
    assert not fitted.samples_CT[:, 8_000:].any()
    assert "0.50 s, the speech 2.00 s" in fitted.notes[0]
    assert "silent after it" in fitted.notes[0]


def test_one_sample_of_speech_leaves_one_of_the_soundtrack() -> None:
    assert as_long_as(Waveform(torch.zeros(1, 1), 48_000), sound(1, 8_000)).samples_CT.shape == (2, 1)


def test_long_one_is_kept_in_the_folder(tmp_path: Path) -> None:
    long_s = SPILL_BYTES / 4 / RATE_HZ
    music = sound(long_s)
    fitted = as_long_as(Waveform(torch.zeros(1, music.samples_CT.shape[1] + 5), RATE_HZ), music, tmp_path)
    assert torch.equal(fitted.samples_CT[:, :-5], music.samples_CT)
    assert not fitted.samples_CT[:, -5:].any()
    assert fitted.samples_CT.untyped_storage().nbytes() >= 8 * music.samples_CT.shape[1]


def test_what_was_said_of_it_before_is_said_still() -> None:
    music = Waveform(torch.zeros(1, 16_000), RATE_HZ, ("it was mended",))
    assert as_long_as(sound(2), music).notes[0] == "it was mended"
