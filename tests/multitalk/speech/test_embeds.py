from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common import tensor_file
from evertalk_pack.multitalk.common.fingerprint import fingerprint
from evertalk_pack.multitalk.common.types import FPS, TAIL_FRAMES, Speakers, Waveform
from evertalk_pack.multitalk.speakers.assembly import Arrangement, SpeakerInputs, make_speakers
from evertalk_pack.multitalk.speech.embeds import encode_voices, one_speaker
from evertalk_pack.multitalk.speech.loudness import loudness_of_pieces
from evertalk_pack.multitalk.speech.waveform import SAMPLES_PER_FRAME
from tiny_speech import speech_like, tiny_encoder


@dataclass
class PlainEncoder:
    """The encoder as it is, without a host; remembers what it heard."""

    heard: list[tuple[Waveform, int, int]] = field(default_factory=list[tuple[Waveform, int, int]])

    def encode(
        self, speech: Waveform, num_frames: int, stats_samples: int, folder: Path | None
    ) -> Iterator[torch.Tensor]:
        del folder
        self.heard.append((speech, num_frames, stats_samples))
        yield tiny_encoder()(speech.samples_CT[0], num_frames, stats_samples)


def stereo(num_samples: int, sample_rate_hz: int) -> Waveform:
    return Waveform(speech_like(num_samples).repeat(2, 1), sample_rate_hz)


@pytest.mark.parametrize("num_samples", [1, 1600, 4410, 48000])
def test_a_voice_of_any_length_is_encoded_with_its_silent_tail(num_samples: int) -> None:
    sound = stereo(num_samples, 44100)
    embeds = encode_voices(PlainEncoder(), one_speaker(sound))
    assert embeds.video_frames == max(1, round(25 * num_samples / 44100))
    assert embeds.tracks_NLC[0].shape == (embeds.video_frames + TAIL_FRAMES, 2, 128)
    assert embeds.tracks_NLC[0].isfinite().all()
    assert embeds.sound is sound


def test_the_encoder_hears_whole_frames_and_is_told_where_the_speech_ends() -> None:
    encoder = PlainEncoder()
    sound = stereo(32000, 32000)
    encode_voices(encoder, one_speaker(sound))
    [(speech, num_frames, stats_samples)] = encoder.heard
    assert num_frames == 25 + TAIL_FRAMES
    assert speech.samples_CT.shape == (1, num_frames * SAMPLES_PER_FRAME)
    assert stats_samples == 16000
    assert speech.samples_CT[0, :16000].any()
    assert not speech.samples_CT[0, 16000:].any()


@pytest.mark.parametrize("normalise", [True, False])
def test_loudness_is_brought_to_the_weights_or_left(normalise: bool) -> None:
    encoder = PlainEncoder()
    sound = Waveform(speech_like(16000)[None], 16000)
    encode_voices(encoder, one_speaker(sound), normalise=normalise)
    heard_CT = encoder.heard[0][0].samples_CT[:, :16000]
    expected = -23.0 if normalise else loudness_of_pieces(sound.samples_CT, 16000)
    assert loudness_of_pieces(heard_CT, 16000) == pytest.approx(expected, abs=0.01)


def test_each_voice_has_its_own_track_and_a_short_one_is_silent_at_its_end() -> None:
    long, short = Waveform(speech_like(32000)[None], 16000), Waveform(speech_like(8000)[None] * 0.5, 16000)
    places = (torch.ones(4, 4), torch.ones(4, 4))
    encoder = PlainEncoder()
    embeds = encode_voices(encoder, Speakers(("A", "B"), (long, short), long, places, ("a note",)))
    assert [track.shape[0] for track in embeds.tracks_NLC] == [50 + TAIL_FRAMES] * 2
    assert not torch.allclose(embeds.tracks_NLC[0], embeds.tracks_NLC[1])
    assert embeds.places is places
    assert embeds.notes == ("a note",)
    assert not encoder.heard[1][0].samples_CT[0, 8000:].any()


@pytest.mark.parametrize(("arrangement", "seconds"), [(Arrangement.PARA, 1.3), (Arrangement.ADD, 1.9)])
def test_the_tail_and_who_has_no_voice_are_encoded_silence(arrangement: Arrangement, seconds: float) -> None:
    first, second = Waveform(speech_like(20800)[None], 16000), Waveform(speech_like(9600)[None], 16000)
    everywhere = torch.ones(1, 8, 8)
    given = SpeakerInputs(
        (first, second, None, None), (everywhere, everywhere, everywhere, None), arrangement
    )
    encoder = PlainEncoder()
    embeds = encode_voices(encoder, make_speakers(given))
    assert embeds.video_frames == round(FPS * seconds)
    assert embeds.sound.samples_CT.shape == (1, round(16000 * seconds))
    for speech, num_frames, stats_samples in encoder.heard:
        assert num_frames == embeds.video_frames + TAIL_FRAMES
        assert stats_samples == round(16000 * seconds)
        assert not speech.samples_CT[0, stats_samples:].any()
    silence = Waveform(torch.zeros(1, embeds.sound.samples_CT.shape[1]), 16000)
    [encoded_NLC] = encode_voices(PlainEncoder(), one_speaker(silence)).tracks_NLC
    assert torch.equal(embeds.tracks_NLC[2], encoded_NLC)
    assert encoded_NLC.abs().max() > 0, "silence is encoded; it is not a track of zeros"
    assert embeds.activity_SF is not None
    assert embeds.activity_SF.shape == (3, embeds.video_frames)
    assert not embeds.activity_SF[2].any()


def test_the_tail_is_what_silence_behind_the_recording_gives() -> None:
    sound = Waveform(speech_like(16000)[None], 16000)
    embeds = encode_voices(PlainEncoder(), one_speaker(sound), normalise=False)
    heard = torch.cat([sound.samples_CT, torch.zeros(1, TAIL_FRAMES * SAMPLES_PER_FRAME)], dim=1)
    [expected] = PlainEncoder().encode(Waveform(heard, 16000), 25 + TAIL_FRAMES, 16000, None)
    assert torch.equal(embeds.tracks_NLC[0], expected)


def test_long_tracks_lie_in_files_and_are_those_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice, other = stereo(70_000, 22_050), stereo(50_000, 44_100)
    speakers = Speakers(("A", "B"), (voice, other), voice)
    in_memory = encode_voices(PlainEncoder(), speakers, maker="encoder")
    monkeypatch.setattr(tensor_file, "SPILL_BYTES", 1000)
    on_disk = encode_voices(PlainEncoder(), speakers, maker="encoder", folder=tmp_path / "temp")
    assert (tmp_path / "temp").is_dir()
    assert list((tmp_path / "temp").iterdir()) == [], "its files have no names"
    for ours, theirs in zip(on_disk.tracks_NLC, in_memory.tracks_NLC, strict=True):
        assert torch.equal(ours, theirs)
    assert fingerprint(on_disk) == fingerprint(in_memory)
