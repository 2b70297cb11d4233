from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
import torch
from av.audio.stream import AudioStream
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import Waveform

SPEECH = Path(__file__).parents[4] / "demo" / "media" / "speech.flac"

pytestmark = pytest.mark.host


def spoken(start: int, count: int = 16_000) -> torch.Tensor:
    """The demo's speech from a sample on, (T,)."""
    from evertalk_pack.multitalk.media.sound_file import read_sound

    return read_sound(SPEECH, SPEECH.parent, lambda: None).samples_CT[0, start : start + count]


def audio(samples: torch.Tensor, sample_rate_hz: int = 44100) -> dict[str, object]:
    return {"waveform": samples, "sample_rate": sample_rate_hz}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "there is no sound; connect Load Audio"),
        ({}, "got dict, expected an AUDIO value"),
        (3, "got int, expected an AUDIO value"),
        (audio(torch.zeros(2, 1, 8)), r"shape \(2, 1, 8\), expected one clip.*one by one"),
        (audio(torch.zeros(0, 1, 8)), r"shape \(0, 1, 8\), expected one clip"),
        (audio(torch.zeros(8)), r"shape \(8,\), expected one clip"),
        (audio(torch.zeros(1, 1, 0)), "is empty"),
        (audio(torch.full((1, 1, 2), torch.nan)), "2 of 2 samples are NaN"),
        (audio(torch.zeros(1, 1, 2), 0), "sample rate is 0 Hz"),
    ],
)
def test_audio_that_is_no_single_usable_clip_is_refused(value: object, complaint: str) -> None:
    from evertalk_pack.nodes.host.codecs.sound import waveform_of

    with pytest.raises(InputError, match="audio_1: .*" + complaint):
        waveform_of(value, "audio_1")


def test_the_clip_is_taken_as_float32_on_the_cpu() -> None:
    from evertalk_pack.nodes.host.codecs.sound import waveform_of

    sound = waveform_of(audio(torch.ones(1, 2, 3, dtype=torch.float16), 48000))
    assert sound.samples_CT.dtype == torch.float32
    assert sound.samples_CT.shape == (2, 3)
    assert sound.sample_rate_hz == 48000


def test_a_sound_survives_the_way_out_and_back() -> None:
    from evertalk_pack.nodes.host.codecs.sound import audio_of, waveform_of

    sound = Waveform(torch.tensor([[0.5, -0.5]]), 8000)
    again = waveform_of(audio_of(sound))
    assert torch.equal(again.samples_CT, sound.samples_CT)
    assert again.sample_rate_hz == 8000


def write_film(path: Path, codec: str, sample_format: str, samples_CT: torch.Tensor) -> None:
    """A small film whose sound is encoded without loss."""
    layout = {1: "mono", 2: "stereo"}[samples_CT.shape[0]]
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width = pictures.height = 32
        stream = cast("AudioStream", container.add_stream(codec, rate=16_000, layout=layout))
        stream.format = sample_format
        for _ in range(25):
            container.mux(
                pictures.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24"))
            )
        packed = np.ascontiguousarray(samples_CT.T.reshape(1, -1).numpy(), np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        for each in (pictures.encode(None), stream.encode(frame), stream.encode(None)):
            container.mux(each)


LOSSLESS = [
    ("film.mov", "pcm_s16le", "s16"),
    ("film.mov", "pcm_s32le", "s32"),
    ("film.mov", "pcm_f64le", "dbl"),
    ("film.mov", "pcm_u8", "u8"),
    ("film.mkv", "flac", "s16"),
    ("film.mkv", "flac", "s32"),
    ("film.mov", "alac", "s16p"),
    ("film.mov", "alac", "s32p"),
]


@pytest.mark.parametrize(("name", "codec", "sample_format"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_of_get_video_components_is_what_the_film_holds(
    tmp_path: Path, name: str, codec: str, sample_format: str, channels: int
) -> None:
    from comfy_api.latest import InputImpl
    from evertalk_pack.nodes.host.codecs.sound import waveform_of

    written_CT = torch.stack([spoken(8000), 0.7 * spoken(12_000)])[:channels]
    write_film(tmp_path / name, codec, sample_format, written_CT)
    sound = waveform_of(InputImpl.VideoFromFile(str(tmp_path / name)).get_components().audio)
    assert sound.sample_rate_hz == 16_000
    assert sound.samples_CT.shape[0] == channels
    heard_CT = sound.samples_CT[:, :16_000]
    assert torch.allclose(heard_CT, written_CT, atol=1.01 / 2 ** (7 if codec == "pcm_u8" else 15))


def test_whole_numbers_in_turn_are_taken_apart_and_it_is_told() -> None:
    from evertalk_pack.nodes.host.codecs.sound import audio_of, waveform_of

    both_CT = (torch.stack([spoken(8000), spoken(8000)]).clamp(-1, 1) * 32767).short()
    sound = waveform_of(audio(both_CT.T.reshape(1, 1, -1), 16_000), "audio_a")
    assert torch.equal(sound.samples_CT, both_CT / 2**15)
    (note,) = sound.notes
    assert note.startswith(
        "audio_a: the sound came as one channel of 2.00 s in which left and right lay in turn"
    )
    assert "taken apart into two of 1.00 s" in note
    assert audio_of(sound)["evertalk_notes"] == sound.notes


def test_floats_in_turn_are_refused() -> None:
    from evertalk_pack.nodes.host.codecs.sound import waveform_of

    both_CT = torch.stack([spoken(8000), spoken(8000)])
    with pytest.raises(
        InputError, match=r"audio: the sound is one channel of 2\.00 s in which left and right"
    ):
        waveform_of(audio(both_CT.T.reshape(1, 1, -1), 16_000))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whole_numbers_as_floats_are_refused_before_any_encoder(dtype: torch.dtype) -> None:
    from evertalk_pack.nodes.host.codecs.sound import waveform_of

    with pytest.raises(InputError, match=r"audio: the loudest sample is 10799, expected -1\.\.1"):
        waveform_of(audio(torch.tensor([[[0.0, 10799.0]]], dtype=dtype)))


def test_notes_of_a_sound_go_along_and_loud_peaks_are_among_them() -> None:
    from evertalk_pack.nodes.host.codecs.sound import audio_of, waveform_of

    value: dict[str, Any] = audio_of(Waveform(torch.tensor([[3.0, 0.0]]), 8000, ("A gap was filled.",)))
    gap, peak = waveform_of(value).notes
    assert gap == "A gap was filled."
    assert peak.startswith("audio: the loudest sample is 3.00 times full scale (+9.5 dB)")


def test_surround_in_turn_in_one_channel_is_refused_by_name() -> None:
    from evertalk_pack.nodes.host.codecs.sound import waveform_of

    gains = torch.tensor([0.5, 0.4, 1.0, 0.05, 0.2, 0.15])
    packed_T = torch.stack([gain * spoken(100 * n) for n, gain in enumerate(gains)]).T.reshape(1, 1, -1)
    with pytest.raises(
        InputError, match=r"audio_b: the sound is one channel of .* in which 6 channels lie in turn"
    ):
        waveform_of(audio((packed_T * 32767).to(torch.int16), 16_000), "audio_b")
