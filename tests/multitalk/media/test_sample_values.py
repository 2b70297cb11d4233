"""Whole numbers as samples, and two channels in one."""

from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.media.sample_values import (
    float_samples,
    is_interleaved,
    split_channels,
    surround_channels,
)
from evertalk_pack.multitalk.media.sound_file import read_sound
from tiny_speech import speech_like

SPEECH = Path(__file__).parents[3] / "demo" / "media" / "speech.flac"


@pytest.mark.parametrize(
    ("samples", "floats"),
    [
        (torch.tensor([-128, 0, 64, 127], dtype=torch.int8), [-1.0, 0.0, 0.5, 127 / 128]),
        (torch.tensor([0, 128, 192, 255], dtype=torch.uint8), [-1.0, 0.0, 0.5, 127 / 128]),
        (torch.tensor([-32768, 0, 16384, 10799], dtype=torch.int16), [-1.0, 0.0, 0.5, 10799 / 32768]),
        (torch.tensor([-(2**31), 0, 2**30], dtype=torch.int32), [-1.0, 0.0, 0.5]),
        (torch.tensor([-(2**63), 0, 2**62], dtype=torch.int64), [-1.0, 0.0, 0.5]),
        (torch.tensor([-1.5, 0.25], dtype=torch.float64), [-1.5, 0.25]),
        (torch.tensor([-1.5, 0.25], dtype=torch.bfloat16), [-1.5, 0.25]),
    ],
)
def test_full_scale_of_every_kind_is_one(samples: torch.Tensor, floats: list[float]) -> None:
    assert torch.equal(float_samples(samples, "audio"), torch.tensor(floats))


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64])
def test_samples_of_another_kind_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(
        InputError, match=rf"audio_c: got samples of type {dtype}, expected floats in -1\.\.1"
    ):
        float_samples(torch.zeros(1, 4, dtype=dtype), "audio_c")


def spoken(count: int = 40_000) -> torch.Tensor:
    """The demo's speech, (T,)."""
    return read_sound(SPEECH, SPEECH.parent, lambda: None).samples_CT[0, :count]


def stereo(side: float, count: int = 40_000) -> torch.Tensor:
    """Speech; `side` is how much the right channel has of other speech."""
    speech_T = spoken(count + 7777)
    return torch.stack([speech_T[:count], (1 - side) * speech_T[:count] + side * speech_T[7777:]])


def interleaved(samples_CT: torch.Tensor) -> torch.Tensor:
    return samples_CT.T.reshape(1, -1)


@pytest.mark.parametrize("side", [0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0])
def test_two_channels_in_turn_are_seen_and_taken_apart(side: float) -> None:
    both_CT = stereo(side)
    assert is_interleaved(interleaved(both_CT))
    assert torch.equal(split_channels(interleaved(both_CT)), both_CT)


def test_one_silent_channel_in_turn_with_another_is_seen() -> None:
    left_T = spoken()
    assert is_interleaved(interleaved(torch.stack([left_T, torch.zeros_like(left_T)])))


@pytest.mark.parametrize("pitch_hz", [50, 440, 3000, 5000, 6200])
def test_tones_are_one_channel(pitch_hz: float) -> None:
    times_s = torch.arange(32_000, dtype=torch.float64) / 16_000
    assert not is_interleaved((2 * torch.pi * pitch_hz * times_s + 0.3).sin()[None].float())


def test_speech_noise_clicks_silence_and_short_sounds_are_one_channel() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 40_000, generator=generator)
    clicks = torch.zeros(1, 40_000)
    clicks[0, 501::4000] = 0.5
    held = torch.cat([torch.zeros(1, 20_000), torch.full((1, 20_000), 0.5)], dim=1)
    short = interleaved(stereo(0.0, 1000))
    for sound_CT in (
        spoken()[None],
        speech_like(40_000)[None],
        noise,
        clicks,
        held,
        torch.zeros(1, 40_000),
        short,
    ):
        assert not is_interleaved(sound_CT)
    assert not is_interleaved(stereo(0.0)), "two channels are two channels"


def test_pauses_full_of_a_recordings_noise_do_not_hide_two_channels() -> None:
    generator = torch.Generator().manual_seed(0)
    both_CT = torch.nn.functional.pad(stereo(0.5), (0, 60_000))
    assert is_interleaved(interleaved(both_CT + 1e-4 * torch.randn(both_CT.shape, generator=generator)))


def surround(channels: int, count: int = 20_000) -> torch.Tensor:
    """Speech in the middle, quieter and later on the sides, and little of it in the others."""
    speech_T = spoken(count + 800)
    gains = (0.5, 0.4, 1.0, 0.05, 0.2, 0.15, 0.1, 0.08)[:channels]
    return torch.stack([gain * speech_T[100 * n : 100 * n + count] for n, gain in enumerate(gains)])


@pytest.mark.parametrize("channels", [4, 6, 8])
def test_surround_channels_in_turn_are_seen(channels: int) -> None:
    assert surround_channels(interleaved(surround(channels))) == channels


def test_one_and_two_channels_are_no_surround() -> None:
    for sound_CT in (spoken()[None], interleaved(stereo(0.0)), interleaved(stereo(0.3)), stereo(0.3)):
        assert surround_channels(sound_CT) == 0
    generator = torch.Generator().manual_seed(0)
    assert surround_channels(torch.randn(1, 40_000, generator=generator)) == 0
    assert surround_channels(interleaved(surround(6, 500))) == 0, "too short to tell"
    times_s = torch.arange(48_000, dtype=torch.float64) / 48_000
    for pitch_hz in (50, 440, 1000, 3000):
        assert surround_channels((2 * torch.pi * pitch_hz * times_s).sin()[None].float()) == 0
