import logging
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import Speakers

pytestmark = pytest.mark.host


def audio(seconds: float) -> Any:
    return {"waveform": torch.full((1, 1, round(8000 * seconds)), 0.25), "sample_rate": 8000}


def run(**inputs: Any) -> tuple[Speakers, Any, torch.Tensor]:
    from evertalk_pack.nodes.speakers import EverTalkSpeakers

    defaults: dict[str, Any] = {"arrangement": "para", "timeline": "", "boxes": ""}
    output = EverTalkSpeakers.execute(**(defaults | inputs))
    assert output.result is not None
    speakers, muxed, preview = output.result
    return speakers, muxed, preview


def test_four_voices_and_masks_are_optional_sockets() -> None:
    from evertalk_pack.nodes.speakers import EverTalkSpeakers

    inputs = {each.id: each for each in EverTalkSpeakers.define_schema().inputs}
    sockets = [f"{kind}_{letter}" for kind in ("audio", "mask") for letter in "abcd"]
    assert list(inputs) == [*sockets, "start_image", "arrangement", "timeline", "boxes"]
    assert [name for name, each in inputs.items() if each.optional] == [*sockets, "start_image"]


def test_voices_come_out_mixed_with_the_picture_of_who_is_where() -> None:
    picture = torch.zeros(2, 96, 160, 3)
    speakers, muxed, preview = run(audio_a=audio(1), audio_b=audio(2), start_image=picture)
    assert speakers.names == ("A", "B")
    assert muxed["waveform"].shape == (1, 1, 16000)
    assert muxed["waveform"][0, 0, [0, 8000]].tolist() == [0.5, 0.25]
    assert preview.shape == (1, 96, 160, 3)
    assert preview.any()
    assert not picture.any()


def test_a_batch_of_masks_is_one_for_each_frame(caplog: pytest.LogCaptureFixture) -> None:
    still, moving = torch.ones(1, 96, 160), torch.ones(10, 96, 160)
    with caplog.at_level(logging.INFO, "evertalk"):
        speakers, _, _ = run(audio_a=audio(1), audio_b=audio(1), mask_a=still, mask_b=moving)
    shapes = [place.shape for place in speakers.places if isinstance(place, torch.Tensor)]
    assert shapes == [(96, 160), (10, 96, 160)]
    assert "The mask of speaker B moves for 10 frames, the video has 25" in caplog.text
    assert "overlap in 100%" in caplog.text


def test_a_timeline_divides_one_audio() -> None:
    speakers, muxed, _ = run(audio_a=audio(2), arrangement="timeline", timeline="0-1 A; 1-2 B")
    assert [bool(voice.samples_CT[0, 4000]) for voice in speakers.voices] == [True, False]
    assert torch.equal(muxed["waveform"], audio(2)["waveform"])


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({}, "audio_a: nobody has a voice"),
        ({"audio_b": None}, "audio_b: there is no sound"),
        ({"audio_a": audio(1), "mask_a": None}, "mask_a: got NoneType, expected a MASK"),
        ({"audio_a": audio(1), "audio_b": audio(1), "mask_a": torch.zeros(1, 64, 64)}, "mask_a: it is empty"),
        ({"audio_a": audio(1), "audio_b": audio(1), "audio_c": audio(1)}, "mask_a, mask_b, mask_c: 3 voices"),
        ({"audio_a": audio(1), "boxes": "1,2,3"}, "boxes: speaker A: '1,2,3' is not a box"),
        (
            {
                "audio_a": audio(1),
                "boxes": "900,0,9,9;0,0,9,9",
                "start_image": torch.zeros(1, 96, 160, 3),
            },
            "box of speaker A: .* no pixel of the 160x96 picture",
        ),
        ({"audio_a": audio(1), "start_image": torch.zeros(1, 9, 9)}, "start_image: "),
    ],
)
def test_bad_inputs_are_refused_by_name(inputs: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match="^" + complaint):
        run(**inputs)
