from dataclasses import replace

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.mask_places import Box
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.speakers.assembly import Arrangement, SpeakerInputs, make_speakers
from evertalk_pack.multitalk.speech.embeds import one_speaker

NOBODY = (None, None, None, None)
EVERYWHERE = torch.ones(1, 4, 6)


def tone(seconds: float, level: float = 0.25, sample_rate_hz: int = 8000) -> Waveform:
    return Waveform(torch.full((1, round(seconds * sample_rate_hz)), level), sample_rate_hz)


def given(*audios: Waveform | None, boxes: str = "") -> SpeakerInputs:
    return SpeakerInputs((*audios, *NOBODY[len(audios) :]), NOBODY, boxes=boxes)


def masked(inputs: SpeakerInputs, *masks: torch.Tensor | None) -> SpeakerInputs:
    return replace(inputs, masks=(*masks, *NOBODY[len(masks) :]))


def timed(text: str, sound: Waveform | None = None) -> SpeakerInputs:
    return replace(given(sound or tone(20)), arrangement=Arrangement.TIMELINE, timeline=text)


def test_para_starts_all_together_and_mixes_them() -> None:
    speakers = make_speakers(given(tone(1), tone(2, level=0.5)))
    assert speakers.names == ("A", "B")
    assert [voice.duration_s for voice in speakers.voices] == [2, 2]
    assert not speakers.voices[0].samples_CT[:, 8000:].any()
    assert speakers.sound.samples_CT[0, [0, 8000]].tolist() == [0.75, 0.5]


def test_add_lets_one_speak_after_the_other() -> None:
    speakers = make_speakers(replace(given(tone(1), tone(2, level=0.5)), arrangement=Arrangement.ADD))
    first, second = (voice.samples_CT[0] for voice in speakers.voices)
    assert speakers.sound.duration_s == 3
    assert first[[0, 7999, 8000]].tolist() == [0.25, 0.25, 0]
    assert second[[0, 7999, 8000]].tolist() == [0, 0, 0.5]


def test_voices_of_different_formats_meet_at_the_highest_rate_in_mono() -> None:
    stereo = Waveform(torch.zeros(2, 16000), 16000)
    speakers = make_speakers(given(stereo, tone(1)))
    assert {voice.samples_CT.shape for voice in speakers.voices} == {(1, 16000)}


def test_a_single_sound_is_heard_as_it_is() -> None:
    stereo = Waveform(torch.rand(2, 100) / 4, 8000)
    speakers = make_speakers(given(None, stereo))
    assert speakers.sound is stereo
    assert speakers.names == ("A", "B")
    assert not speakers.voices[0].samples_CT.any()
    assert torch.equal(speakers.voices[1].samples_CT, stereo.samples_CT)
    assert "Speaker A has no voice and stays silent." in speakers.notes


def test_who_has_a_mask_but_no_sound_is_silent() -> None:
    speakers = make_speakers(masked(given(tone(1)), EVERYWHERE, EVERYWHERE))
    assert not speakers.voices[1].samples_CT.any()
    assert speakers.notes == ("Speaker B has no voice and stays silent.",)


def test_a_timeline_divides_one_sound_and_the_video_keeps_it() -> None:
    sound = tone(20)
    speakers = make_speakers(timed("0:00-0:07 A; 0:07-0:12 B; 0:12-0:20 A+B", sound))
    assert speakers.sound is sound
    seconds = torch.tensor([3, 9, 15]) * 8000
    assert speakers.voices[0].samples_CT[0, seconds].tolist() == [0.25, 0, 0.25]
    assert speakers.voices[1].samples_CT[0, seconds].tolist() == [0, 0.25, 0.25]


def test_who_a_timeline_does_not_name_is_silent() -> None:
    speakers = make_speakers(masked(timed("0-20 A"), EVERYWHERE, EVERYWHERE))
    assert not speakers.voices[1].samples_CT.any()
    assert "Speaker B has no voice and stays silent." in speakers.notes


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0-21 A", "timeline: the audio ends at 20.00s"),
        ("0-9 A; 8-12 B", "timeline: this entry overlaps entry 1, which names other speakers"),
        ("0-9 A; 9~12 B", r"timeline: expected a dash .*\(character 9\)"),
        ("0-9 E", "timeline: 'E' is not a speaker; there are A, B, C, D"),
        ("", "timeline: expected a time"),
    ],
)
def test_a_timeline_that_cannot_be_followed_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        make_speakers(timed(text))


@pytest.mark.parametrize("sounds", [(), (tone(20), tone(1))])
def test_a_timeline_divides_exactly_one_sound(sounds: tuple[Waveform, ...]) -> None:
    inputs = replace(given(*sounds), arrangement=Arrangement.TIMELINE, timeline="0-9 A")
    with pytest.raises(InputError, match=f"timeline: {len(sounds)} sounds are connected"):
        make_speakers(inputs)


def test_a_timeline_that_is_not_asked_for_is_said_to_be_unused() -> None:
    notes = make_speakers(replace(given(tone(1)), timeline="0-1 A")).notes
    assert notes == ("timeline is not used: arrangement is para.",)


def test_nobody_with_a_voice_is_refused() -> None:
    with pytest.raises(InputError, match="audio_a: nobody has a voice"):
        make_speakers(masked(given(), EVERYWHERE))


def test_still_and_moving_masks_are_taken_as_they_are() -> None:
    moving = torch.ones(50, 4, 6)
    speakers = make_speakers(masked(given(tone(2), tone(1)), EVERYWHERE, moving))
    still, other = speakers.places
    assert isinstance(still, torch.Tensor)
    assert still.shape == (4, 6)
    assert other is moving
    assert speakers.notes == ()


def test_a_mask_that_ends_before_the_video_is_reported() -> None:
    speakers = make_speakers(masked(given(tone(2), tone(1)), EVERYWHERE, torch.ones(49, 4, 6)))
    assert speakers.notes == (
        "The mask of speaker B moves for 49 frames, the video has 50; the mask's last frame stays.",
    )


def test_three_voices_with_two_masks_are_refused_by_the_sockets_name() -> None:
    inputs = masked(given(tone(1), tone(1), tone(1)), EVERYWHERE, EVERYWHERE)
    with pytest.raises(
        InputError, match=r"mask_c: 3 voices \(A, B, C\) came with 2 masks; connect mask_c too"
    ):
        make_speakers(inputs)


def test_a_gap_between_masks_is_refused_by_the_sockets_name() -> None:
    with pytest.raises(InputError, match=r"mask_b: 3 voices .* came with 2 masks"):
        make_speakers(masked(given(tone(1)), EVERYWHERE, None, EVERYWHERE))


@pytest.mark.parametrize("number", [3, 4])
def test_more_than_two_voices_need_places(number: int) -> None:
    with pytest.raises(InputError, match=f"mask_a, .*: {number} voices .* came with 0 masks"):
        make_speakers(given(*[tone(1)] * number))


def test_three_voices_with_two_boxes_are_refused() -> None:
    with pytest.raises(InputError, match=r"boxes: 3 voices \(A, B, C\) came with 2 boxes"):
        make_speakers(given(tone(1), tone(1), tone(1), boxes="0,0,9,9; 9,0,9,9"))


@pytest.mark.parametrize(
    ("mask", "complaint"),
    [
        (torch.zeros(1, 64, 64), r"mask_b: it is empty \(64x64"),
        (torch.full((1, 8, 8), torch.nan), "mask_b: it is empty"),
        (torch.zeros(0, 8, 8), r"mask_b: got values of shape \(0, 8, 8\), expected a MASK"),
        (torch.zeros(1, 1, 8, 8), r"mask_b: got values of shape \(1, 1, 8, 8\), expected a MASK"),
    ],
)
def test_a_mask_that_shows_nobody_is_refused_by_the_sockets_name(mask: torch.Tensor, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        make_speakers(masked(given(tone(1), tone(1)), EVERYWHERE, mask))


def test_boxes_are_read_in_the_order_of_the_speakers() -> None:
    speakers = make_speakers(given(tone(1), boxes="0%,0%,50%,100%;\n 50%,0%,50%,100%;"))
    assert speakers.places == (Box(0, 0, 50, 100, percent=True), Box(50, 0, 50, 100, percent=True))
    assert speakers.names == ("A", "B")


@pytest.mark.parametrize(
    ("boxes", "complaint"),
    [
        ("0,0,9,9; 9,0,9", "boxes: speaker B: '9,0,9' is not a box"),
        (";".join(["0,0,9,9"] * 5), "boxes: there are 5, expected at most 4"),
    ],
)
def test_boxes_that_cannot_be_read_are_refused(boxes: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        make_speakers(given(tone(1), tone(1), boxes=boxes))


def test_boxes_and_masks_together_are_refused() -> None:
    inputs = masked(given(tone(1), boxes="0,0,9,9"), EVERYWHERE)
    with pytest.raises(InputError, match="boxes: there are boxes and masks"):
        make_speakers(inputs)


def test_two_speakers_without_places_get_the_halves_and_it_is_said() -> None:
    speakers = make_speakers(given(tone(1), tone(1)))
    assert speakers.places == ()
    assert speakers.notes == ("No masks and no boxes: A is the left half of the picture, B the right half.",)


def test_one_speaker_needs_no_mask_and_it_is_said() -> None:
    speakers = make_speakers(masked(given(tone(1)), EVERYWHERE))
    assert speakers.places == ()
    assert "the mask or box is not used" in speakers.notes[0]
    assert one_speaker(tone(1)).notes == ()


def test_beyond_two_speakers_is_said_to_be_extrapolation() -> None:
    speakers = make_speakers(masked(given(tone(1), tone(1), tone(1)), *[EVERYWHERE] * 3))
    assert "extrapolation" in speakers.notes[-1]


def test_voices_that_are_too_loud_together_are_reported() -> None:
    speakers = make_speakers(given(tone(1, level=0.75), tone(1, level=0.75)))
    assert "reach 1.50 times full scale" in speakers.notes[0]
