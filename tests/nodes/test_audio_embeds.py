from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Waveform
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds, encode_voices, one_speaker
from safetensors.torch import save_file
from tiny_speech import speech_like, tiny_encoder

if TYPE_CHECKING:
    from evertalk_pack.nodes.host.codecs.speech import SpeechEncoderModel

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> "SpeechEncoderModel":
    from evertalk_pack.nodes.host.codecs.speech import load_speech_encoder

    path: Path = tmp_path_factory.mktemp("encoder") / "tiny.safetensors"
    save_file(tiny_encoder().state_dict(), path)
    return load_speech_encoder(path)


def audio(num_samples: int, sample_rate_hz: int, channels: int = 1, level: float = 1.0) -> Any:
    samples = level * speech_like(num_samples).repeat(1, channels, 1)
    return {"waveform": samples, "sample_rate": sample_rate_hz}


def run(encoder: "SpeechEncoderModel", sound: Any, *, loudness: bool) -> tuple[AudioEmbeds, Any, int]:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds

    output = EverTalkAudioEmbeds.execute(audio_encoder=encoder, audio=sound, loudness=loudness)
    assert output.result is not None
    embeds, muxed, frames = output.result
    return embeds, muxed, frames


@pytest.mark.parametrize(
    ("num_samples", "sample_rate_hz", "channels", "frames"),
    [
        (1, 44100, 1, 1),
        (1600, 16000, 1, 2),
        (4410, 44100, 2, 2),
        (8000, 8000, 1, 25),
        (48000, 48000, 6, 25),
        (66150, 44100, 2, 38),
    ],
)
def test_any_sound_gives_its_frames_and_the_silent_tail(
    encoder: "SpeechEncoderModel", num_samples: int, sample_rate_hz: int, channels: int, frames: int
) -> None:
    sound = audio(num_samples, sample_rate_hz, channels)
    embeds, muxed, counted = run(encoder, sound, loudness=True)
    assert counted == embeds.video_frames == frames
    assert embeds.tracks_NLC[0].shape == (frames + TAIL_FRAMES, 2, 128)
    assert embeds.tracks_NLC[0].isfinite().all()
    assert embeds.places == ()
    assert torch.equal(muxed["waveform"], sound["waveform"]), "the muxed sound is untouched"
    assert muxed["sample_rate"] == sample_rate_hz


def test_digital_silence_is_encoded(encoder: "SpeechEncoderModel") -> None:
    embeds, _, frames = run(encoder, audio(16000, 16000, level=0), loudness=True)
    assert frames == 25
    assert embeds.tracks_NLC[0].isfinite().all()


def test_loudness_makes_a_quiet_and_a_loud_recording_sound_alike(encoder: "SpeechEncoderModel") -> None:
    quiet, loud = audio(16000, 16000, level=0.01), audio(16000, 16000, level=1)
    tracks = [run(encoder, sound, loudness=True)[0].tracks_NLC[0] for sound in (quiet, loud)]
    assert torch.allclose(tracks[0], tracks[1], atol=1e-3)
    as_they_are = [run(encoder, sound, loudness=False)[0].tracks_NLC[0] for sound in (quiet, loud)]
    assert not torch.allclose(as_they_are[0], as_they_are[1], atol=1e-3)


def test_the_same_sound_gives_the_same_bytes(encoder: "SpeechEncoderModel") -> None:
    sound = audio(20000, 22050)
    first = run(encoder, sound, loudness=True)[0].tracks_NLC[0]
    speaker = one_speaker(Waveform(sound["waveform"][0], sound["sample_rate"]))
    second = encode_voices(encoder, speaker).tracks_NLC[0]  # which looks nothing up
    assert torch.equal(first, second)


def test_speech_that_comes_again_is_not_encoded_again(encoder: "SpeechEncoderModel") -> None:
    from evertalk_pack.nodes.host.report.record import recording

    def kept(seconds: float, *, loudness: bool) -> tuple[torch.Tensor, bool]:
        with recording() as record:
            embeds, _, _ = run(encoder, audio(round(16000 * seconds), 16000), loudness=loudness)
        return embeds.tracks_NLC[0], record.kept == ["a person's speech"]

    first, was_kept = kept(1.24, loudness=True)
    assert not was_kept
    again, was_kept = kept(1.24, loudness=True)
    assert was_kept
    assert torch.equal(again, first)
    assert not kept(1.24, loudness=False)[1]
    assert not kept(1.28, loudness=True)[1]
    assert kept(1.28, loudness=True)[1]


def test_the_encoder_is_asked_for_once_the_sound_is_found_usable(encoder: "SpeechEncoderModel") -> None:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds as Node

    assert Node.check_lazy_status(audio=audio(10, 8000), loudness=True) == ["audio_encoder"]
    assert Node.check_lazy_status(audio=audio(10, 8000), loudness=True, audio_encoder=encoder) == []


@pytest.mark.parametrize(
    ("sound", "complaint"),
    [
        (None, "there is no sound"),
        ({"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}, "is empty"),
        ({"waveform": torch.full((1, 1, 9), torch.nan), "sample_rate": 16000}, "NaN"),
        ({"waveform": torch.zeros(3, 1, 9), "sample_rate": 16000}, "expected one clip"),
    ],
)
def test_a_bad_sound_is_refused_before_the_encoder_loads(sound: Any, complaint: str) -> None:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds as Node

    with pytest.raises(InputError, match="audio: .*" + complaint):
        Node.check_lazy_status(audio=sound, loudness=True)


def test_null_in_place_of_the_encoder_is_refused_by_name() -> None:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds as Node

    nothing: Any = None
    with pytest.raises(InputError, match="audio_encoder: got nothing, expected EVERTALK_SPEECH_ENCODER"):
        Node.execute(audio_encoder=nothing, audio=audio(10, 8000), loudness=True)


def test_the_encoder_is_a_lazy_input() -> None:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds as Node

    inputs = {each.id: each for each in Node.define_schema().inputs}
    assert list(inputs) == ["audio_encoder", "audio", "loudness", "speakers", "hearing", "soundtrack"]
    assert [name for name, each in inputs.items() if each.lazy] == ["audio_encoder"]
    optional = ["audio", "speakers", "hearing", "soundtrack"]
    assert [name for name, each in inputs.items() if each.optional] == optional


def test_soundtrack_is_heard_and_the_speech_is_encoded(encoder: "SpeechEncoderModel") -> None:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds as Node

    speech, music = audio(16000, 16000), audio(88200, 44100, channels=2, level=0.5)
    plain, _, frames = run(encoder, speech, loudness=True)
    output = Node.execute(audio_encoder=encoder, audio=speech, loudness=True, soundtrack=music)
    assert output.result is not None
    embeds, muxed, counted = output.result
    assert counted == frames == 25
    assert torch.equal(embeds.tracks_NLC[0], plain.tracks_NLC[0])
    assert muxed["sample_rate"] == 44100
    assert torch.equal(muxed["waveform"], music["waveform"][..., :44100])
    assert torch.equal(embeds.sound.samples_CT, muxed["waveform"][0])
    assert "cut off" in embeds.sound.notes[-1]


@pytest.mark.parametrize(
    ("soundtrack", "complaint"),
    [
        (None, "there is no sound"),
        ({"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}, "is empty"),
        ({"waveform": torch.zeros(2, 1, 9), "sample_rate": 16000}, "expected one clip"),
    ],
)
def test_bad_soundtrack_is_refused_before_the_encoder_loads(soundtrack: Any, complaint: str) -> None:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds as Node

    with pytest.raises(InputError, match="soundtrack: .*" + complaint):
        Node.check_lazy_status(audio=audio(10, 8000), loudness=True, soundtrack=soundtrack)


def two_speakers() -> Any:
    from evertalk_pack.nodes.speakers import EverTalkSpeakers

    output = EverTalkSpeakers.execute(
        arrangement="para", timeline="", boxes="", audio_a=audio(16000, 16000), audio_b=audio(24000, 16000)
    )
    assert output.result is not None
    return output.result[0]


def test_speakers_are_encoded_a_track_each(encoder: "SpeechEncoderModel") -> None:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds

    speakers = two_speakers()
    output = EverTalkAudioEmbeds.execute(audio_encoder=encoder, speakers=speakers, loudness=True)
    assert output.result is not None
    embeds, muxed, frames = output.result
    assert frames == embeds.video_frames == 38
    assert len(embeds.tracks_NLC) == 2
    assert torch.equal(muxed["waveform"][0], speakers.sound.samples_CT)
    assert embeds.notes == speakers.notes


def test_audio_and_speakers_together_are_refused() -> None:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds as Node

    with pytest.raises(InputError, match="audio: both audio and speakers are connected"):
        Node.check_lazy_status(audio=audio(10, 8000), speakers=two_speakers(), loudness=True)
    with pytest.raises(
        InputError, match=r"audio: there is no sound; connect .* to audio, or EverTalk Speakers"
    ):
        Node.check_lazy_status(loudness=True)


def test_stream_hears_each_window_of_flashtalk_by_itself(encoder: "SpeechEncoderModel") -> None:
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds

    sound = audio(16000 * 3, 16000)
    output = EverTalkAudioEmbeds.execute(audio_encoder=encoder, audio=sound, loudness=True, hearing="stream")
    assert output.result is not None
    live, _, frames = output.result
    assert (frames, live.video_frames) == (75, 75)
    assert live.live is not None
    assert live.live.chunk_frames == 28
    assert live.tracks_NLC[0].shape == (3 * 35, 2, 128)
    whole, _, _ = run(encoder, sound, loudness=True)
    assert not torch.allclose(live.tracks_NLC[0][7 : 7 + 28], whole.tracks_NLC[0][:28], atol=1e-2)
    assert live.marks != whole.marks


def test_stream_of_several_voices_is_refused() -> None:
    from evertalk_pack.multitalk.common.types import Speakers
    from evertalk_pack.nodes.audio_embeds import EverTalkAudioEmbeds as Node

    voice = Waveform(speech_like(1600)[None], 16000)
    speakers = Speakers(("A", "B"), (voice, voice), voice)
    with pytest.raises(InputError, match=r"hearing: stream is for FlashTalk's weights, .* 2 speakers"):
        Node.check_lazy_status(loudness=True, speakers=speakers, hearing="stream")
    with pytest.raises(InputError, match=r"hearing: 'live' is unknown here. Choose one of whole, stream"):
        Node.check_lazy_status(loudness=True, speakers=speakers, hearing="live")
    assert Node.check_lazy_status(loudness=True, speakers=speakers, hearing="whole") == ["audio_encoder"]
