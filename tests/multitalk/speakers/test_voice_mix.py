import pytest
import torch
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.speakers.voice_mix import arrange_voices, in_one_format, mix_voices, silence_like


def voice(*samples: float, sample_rate_hz: int = 16000, channels: int = 1) -> Waveform:
    return Waveform(torch.tensor([samples]).repeat(channels, 1), sample_rate_hz)


def lists(tracks: tuple[Waveform, ...]) -> list[list[float]]:
    return [track.samples_CT[0].tolist() for track in tracks]


def test_para_pads_the_shorter_voice_with_silence_at_its_end() -> None:
    assert lists(arrange_voices((voice(1, 2, 3), voice(4)), "para")) == [[1, 2, 3], [4, 0, 0]]


def test_add_lets_each_voice_speak_while_the_others_are_silent() -> None:
    tracks = arrange_voices((voice(1, 2), voice(3), voice(4, 5)), "add")
    assert lists(tracks) == [[1, 2, 0, 0, 0], [0, 0, 3, 0, 0], [0, 0, 0, 4, 5]]


@pytest.mark.parametrize("order", ["para", "add"])
def test_a_speaker_without_a_voice_is_silent_and_takes_no_time(order: str) -> None:
    tracks = arrange_voices((None, voice(1, 2)), order)  # pyright: ignore[reportArgumentType]
    assert lists(tracks) == [[0, 0], [1, 2]]


def test_at_least_one_voice_is_needed() -> None:
    with pytest.raises(AssertionError, match="at least one speaker"):
        arrange_voices((None, None), "para")


def test_voices_of_different_formats_are_not_arranged() -> None:
    with pytest.raises(AssertionError, match="one format"):
        arrange_voices((voice(1), voice(1, sample_rate_hz=8000)), "para")


def test_one_format_is_the_highest_rate_and_mono_where_channels_differ() -> None:
    low, high = voice(*[0.5] * 80, sample_rate_hz=8000), voice(*[0.5] * 160, channels=2)
    voices = in_one_format((low, high))
    assert {each.sample_rate_hz for each in voices} == {16000}
    assert [tuple(each.samples_CT.shape) for each in voices] == [(1, 160), (1, 160)]


def test_one_format_keeps_stereo_when_all_are_stereo() -> None:
    voices = in_one_format((voice(1, 2, channels=2), voice(3, channels=2)))
    assert [each.samples_CT.shape[0] for each in voices] == [2, 2]


def test_the_mix_is_the_plain_sum() -> None:
    mix = mix_voices((voice(0.75, 1), voice(0.75, -1)))
    assert mix.samples_CT.tolist() == [[1.5, 0]]


def test_silence_has_the_format_and_length_of_its_model() -> None:
    assert silence_like(voice(1, 2, channels=2)).samples_CT.tolist() == [[0, 0], [0, 0]]
    assert silence_like(voice(1, 2), 3).samples_CT.tolist() == [[0, 0, 0]]
