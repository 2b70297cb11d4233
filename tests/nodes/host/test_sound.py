import pytest
import torch
from evertalk_pack.multitalk.errors import InputError
from evertalk_pack.multitalk.types import Waveform

pytestmark = pytest.mark.host


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
    from evertalk_pack.nodes.host.sound import waveform_of

    with pytest.raises(InputError, match="audio_1: .*" + complaint):
        waveform_of(value, "audio_1")


def test_the_clip_is_taken_as_float32_on_the_cpu() -> None:
    from evertalk_pack.nodes.host.sound import waveform_of

    sound = waveform_of(audio(torch.ones(1, 2, 3, dtype=torch.float16), 48000))
    assert sound.samples_CT.dtype == torch.float32
    assert sound.samples_CT.shape == (2, 3)
    assert sound.sample_rate_hz == 48000


def test_a_sound_survives_the_way_out_and_back() -> None:
    from evertalk_pack.nodes.host.sound import audio_of, waveform_of

    sound = Waveform(torch.tensor([[0.5, -0.5]]), 8000)
    again = waveform_of(audio_of(sound))
    assert torch.equal(again.samples_CT, sound.samples_CT)
    assert again.sample_rate_hz == 8000
