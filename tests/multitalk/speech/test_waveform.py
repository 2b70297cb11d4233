import math
from collections.abc import Iterator

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.tensor_file import pieces_of
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Waveform
from evertalk_pack.multitalk.media.sound_blocks import SILENCE_SAMPLES
from evertalk_pack.multitalk.speech import waveform
from evertalk_pack.multitalk.speech.waveform import (
    SAMPLES_PER_FRAME,
    SPEECH_RATE_HZ,
    check_sound,
    padded,
    padded_pieces,
    peak_notes,
    resampled,
    resampled_pieces,
    speech_pieces,
    to_mono,
    video_frames_of,
    with_silent_tail,
)


def sine(num_samples: int, sample_rate_hz: int, channels: int = 1, pitch_hz: float = 440.0) -> Waveform:
    time_s = torch.arange(num_samples) / sample_rate_hz
    return Waveform((2 * math.pi * pitch_hz * time_s).sin().repeat(channels, 1), sample_rate_hz)


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        (torch.zeros(1, 0), r"is empty \(1 channels, 0 samples\).*choose another file"),
        (torch.zeros(0, 5), r"is empty \(0 channels, 5 samples\)"),
        (torch.zeros(1, 2, 3), r"shape \(1, 2, 3\).*load the sound"),
        (torch.zeros(3), r"shape \(3,\)"),
        (torch.zeros(1, 3, dtype=torch.int16), r"torch.int16, expected floating-point"),
        (
            torch.tensor([[0.0, math.nan, math.inf]]),
            r"2 of 3 samples are NaN or infinite.*load the sound again",
        ),
    ],
)
def test_a_sound_that_cannot_be_spoken_is_refused_by_its_socket(
    samples: torch.Tensor, complaint: str
) -> None:
    with pytest.raises(InputError, match="audio_2: .*" + complaint):
        check_sound(Waveform(samples, 16000), "audio_2")


def test_a_sound_without_a_sample_rate_is_refused() -> None:
    with pytest.raises(InputError, match="audio: the sample rate is 0 Hz"):
        check_sound(Waveform(torch.zeros(1, 1), 0))


def test_one_sample_is_a_sound() -> None:
    check_sound(Waveform(torch.zeros(1, 1), 44100))


@pytest.mark.parametrize(
    ("num_samples", "sample_rate_hz", "frames"),
    [
        (1, 48000, 1),
        (1600, 16000, 2),
        (16000, 16000, 25),
        (44100, 44100, 25),
        (16319, 16000, 25),
        (16321, 16000, 26),
    ],
)
def test_the_video_has_as_many_frames_as_the_sound_lasts(
    num_samples: int, sample_rate_hz: int, frames: int
) -> None:
    assert video_frames_of(Waveform(torch.zeros(2, num_samples), sample_rate_hz)) == frames


def test_half_a_frame_is_rounded_to_the_even_count() -> None:
    assert video_frames_of(Waveform(torch.zeros(1, 4800), 16000)) == round(7.5) == 8
    assert video_frames_of(Waveform(torch.zeros(1, 1600), 16000)) == round(2.5) == 2


def test_mono_is_the_mean_of_all_channels() -> None:
    sound = to_mono(Waveform(torch.tensor([[1.0, 0.0], [0.5, -1.0], [0.0, 1.0]]), 8000))
    assert torch.equal(sound.samples_CT, torch.tensor([[0.5, 0.0]]))


@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 22050, 44100, 48000, 11111])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channels_become_mono_speech_of_the_same_pitch(
    sample_rate_hz: int, channels: int
) -> None:
    speech_T = torch.cat(list(speech_pieces(sine(sample_rate_hz, sample_rate_hz, channels))))
    assert speech_T.shape == (SPEECH_RATE_HZ,)
    assert speech_T.dtype == torch.float32
    middle = slice(2000, -2000)  # the resampler's filter rings at the ends
    expected = sine(SPEECH_RATE_HZ, SPEECH_RATE_HZ).samples_CT
    assert (speech_T - expected[0])[middle].abs().max() < 2e-3


@pytest.mark.parametrize("sample_rate_hz", [8000, 44100, 48000, 192000])
def test_one_sample_at_any_rate_becomes_at_least_one_sample(sample_rate_hz: int) -> None:
    speech_T = torch.cat(list(speech_pieces(Waveform(torch.ones(2, 1), sample_rate_hz))))
    assert speech_T.shape[0] == math.ceil(SPEECH_RATE_HZ / sample_rate_hz)
    assert speech_T.isfinite().all()


@pytest.mark.parametrize("sample_rate_hz", [8000, 22050, 44100, 48000, 37001])
@pytest.mark.parametrize("num_samples", [1, 777, 150_001])
def test_resampling_in_pieces_gives_the_bytes_of_librosa(sample_rate_hz: int, num_samples: int) -> None:
    samples_T = torch.randn(num_samples, generator=torch.Generator().manual_seed(2))
    expected = resampled(Waveform(samples_T[None], sample_rate_hz), SPEECH_RATE_HZ).samples_CT[0]
    for length in (1 << 20, 10_000):
        pieces = list(resampled_pieces(samples_T.split(length), sample_rate_hz, SPEECH_RATE_HZ))
        assert torch.equal(torch.cat(pieces), expected)


def test_the_right_rate_is_left_alone() -> None:
    sound = sine(100, 16000)
    assert resampled(sound, 16000) is sound


def test_padding_appends_silence_only() -> None:
    sound = padded(sine(5, 16000, channels=2), 9)
    assert torch.equal(sound.samples_CT[:, :5], sine(5, 16000, channels=2).samples_CT)
    assert torch.equal(sound.samples_CT[:, 5:], torch.zeros(2, 4))
    with pytest.raises(AssertionError, match="5 samples do not fit into 4"):
        padded(sine(5, 16000), 4)


@pytest.mark.parametrize("num_samples", [1, 639, 640, 16000, 16319])
def test_the_silent_tail_fills_whole_frames(num_samples: int) -> None:
    speech = sine(num_samples, 16000)
    frames = video_frames_of(speech)
    track = with_silent_tail(speech, frames)
    assert track.samples_CT.shape == (1, (frames + TAIL_FRAMES) * SAMPLES_PER_FRAME)
    assert not track.samples_CT[:, num_samples:].any()


def test_frames_are_only_counted_at_the_speech_rate() -> None:
    with pytest.raises(AssertionError, match="speech rate"):
        with_silent_tail(sine(10, 8000), 1)


@pytest.mark.parametrize(
    ("peak", "is_refused"), [(99.0, False), (100.0, False), (101.0, True), (10_799.0, True)]
)
def test_samples_that_are_whole_numbers_in_floats_are_refused(peak: float, *, is_refused: bool) -> None:
    sound = Waveform(torch.tensor([[0.0, -peak, 0.5]]), 16000)
    if not is_refused:
        check_sound(sound)
        return
    with pytest.raises(
        InputError, match=rf"audio_b: the loudest sample is {peak:g}, expected -1\.\.1; .*32768"
    ):
        check_sound(sound, "audio_b")


@pytest.mark.parametrize("level", [0.0, 1.0, 1.4])
def test_sound_as_loud_as_codecs_make_it_needs_no_note(level: float) -> None:
    assert peak_notes(check_sound(Waveform(torch.tensor([[level, -level]]), 16000))) == ()


def test_a_good_sound_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(values: torch.Tensor) -> Iterator[torch.Tensor]:
        for piece in pieces_of(values, 16):
            read.append(piece.shape[-1])
            yield piece

    monkeypatch.setattr(waveform, "pieces_of", counted)
    sound = sine(100, SPEECH_RATE_HZ)
    sound.samples_CT.mul_(10)
    peak = check_sound(sound)
    assert peak_notes(peak)
    assert peak == float(sound.samples_CT.abs().max())
    assert sum(read) == 100


def in_small_pieces(values: torch.Tensor) -> Iterator[torch.Tensor]:
    yield from pieces_of(values, 16)


@pytest.mark.parametrize("place", [0, 50, 99])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_a_number_is_found_in_any_piece(
    value: float, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waveform, "pieces_of", in_small_pieces)
    sound = sine(100, SPEECH_RATE_HZ)
    sound.samples_CT[0, place] = value
    with pytest.raises(InputError, match="audio: 1 of 100 samples are NaN or infinite"):
        check_sound(sound)


def test_peaks_that_will_be_cut_off_are_told() -> None:
    (note,) = peak_notes(check_sound(Waveform(torch.tensor([[0.1, -31.623]]), 16000)), "audio_a")
    assert note.startswith("audio_a: the loudest sample is 31.62 times full scale (+30.0 dB); ")


@pytest.mark.parametrize("lengths", [(), (5,), (640, 700), (400 * 640,), (300_000,)])
def test_pieces_are_followed_by_silence_in_small_pieces_up_to_the_videos_length(
    lengths: tuple[int, ...],
) -> None:
    pieces = [torch.ones(length) for length in lengths]
    made = list(padded_pieces(iter(pieces), video_frames=400))
    assert [len(one) for one in made[: len(pieces)]] == list(lengths)
    assert all(len(one) <= SILENCE_SAMPLES and not one.any() for one in made[len(pieces) :])
    assert sum(len(one) for one in made) == max(sum(lengths), 400 * SAMPLES_PER_FRAME)
