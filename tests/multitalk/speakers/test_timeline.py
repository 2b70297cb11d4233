import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.speakers.timeline import FADE_S, TimelineEntry, mute_outside, parse_timeline
from hypothesis import given
from hypothesis import strategies as st

NAMES = ("A", "B", "C")
RATE_HZ = 1000
FADE = round(FADE_S * RATE_HZ)


def read(text: str, duration_s: float = 20.0) -> tuple[TimelineEntry, ...]:
    return parse_timeline(text, NAMES, duration_s, "timeline")


def test_entries_name_who_speaks_when() -> None:
    assert read("0:00-0:07 A; 0:07-0:12 B; 0:12-0:20 A+B") == (
        TimelineEntry(0, 7, (0,)),
        TimelineEntry(7, 12, (1,)),
        TimelineEntry(12, 20, (0, 1)),
    )


def test_order_case_spaces_and_lines_do_not_matter() -> None:
    assert read(" 2.5s - 4s c + a ;\n\n1\N{EN DASH}2 b;\n") == (
        TimelineEntry(2.5, 4, (0, 2)),
        TimelineEntry(1, 2, (1,)),
    )


def test_an_end_less_than_a_frame_behind_the_audio_is_the_audios() -> None:
    assert read("0-20 A", duration_s=19.97) == (TimelineEntry(0, 19.97, (0,)),)


def test_the_same_speakers_may_be_named_twice() -> None:
    assert len(read("0-5 A+B; 3-8 B+A")) == 2


@pytest.mark.parametrize(
    ("text", "problem", "character"),
    [
        ("", "expected a time", 1),
        ("  ;", "expected a time", 4),
        ("A 0-5", "expected a time", 1),
        ("0 5 A", "expected a dash", 3),
        ("0-5", "expected a speaker; there are A, B, C", 4),
        ("0-5 D", "'D' is not a speaker; there are A, B, C", 5),
        ("0-5 A+", "expected a speaker", 7),
        ("0-5 A B", r"expected \+ and another speaker", 7),
        ("0-5 A, 5-9 B", r"expected \+ and another speaker", 6),
        ("0-5 A; 9-7 B", "ends before it begins", 10),
        ("0-5 A; 5-5 B", "ends before it begins", 10),
        ("0-5 A; 15-21 B", "the audio ends at 20.00s", 8),
        ("0-5 A; 20-20.01 B", "the audio ends at 20.00s", 8),
        ("0-5 A; 25-30 B", "the audio ends at 20.00s", 8),
        ("0-5 A; 4-9 B", "overlaps entry 1", 8),
        ("0-5 A; 7-9 B; 4-6 A+B", "overlaps entry 1", 15),
        ("0-5 A; 1:70-2:00 B", "70 seconds beside minutes", 10),
    ],
)
def test_a_mistake_is_pointed_at(text: str, problem: str, character: int) -> None:
    with pytest.raises(InputError, match=rf"^timeline: .*{problem}.*\(character {character}\)") as caught:
        read(text)
    assert str(caught.value).splitlines()[-1] == " " * (character + 1) + "^"


def ones(seconds: float, channels: int = 1) -> Waveform:
    return Waveform(torch.ones(channels, round(seconds * RATE_HZ)), RATE_HZ)


def test_a_speaker_is_heard_in_their_entries_and_silent_elsewhere() -> None:
    entries = read("0-1 A; 1-3 B; 3-5 A+B", duration_s=5)
    a, b = (mute_outside(ones(5, channels=2), entries, speaker).samples_CT for speaker in (0, 1))
    assert a.shape == b.shape == (2, 5000)
    assert not a[:, 1000:3000].any()
    assert not b[:, :1000].any()
    assert (a[:, : 1000 - FADE] == 1).all()
    assert (b[:, 1000 + FADE :] == 1).all()  # no fade at 3 s, where B goes on, nor at the audio's end
    assert not mute_outside(ones(5), entries, 2).samples_CT.any()


def test_cuts_are_faded_so_that_no_sample_jumps() -> None:
    heard = mute_outside(ones(5), read("1-2 A", duration_s=5), 0).samples_CT[0]
    assert heard.diff().abs().max() <= 1 / FADE + 1e-6
    assert heard[1000 : 1000 + FADE].diff().min() > 0
    assert torch.equal(heard[1000:1500], heard[1500:2000].flip(0))


def test_an_entry_shorter_than_its_fades_fades_in_and_out() -> None:
    heard = mute_outside(ones(5), read("1-1.012 A", duration_s=5), 0).samples_CT[0]
    assert heard[1000:1012].min() > 0
    assert heard.nonzero().numel() == 12
    assert mute_outside(ones(5), read("1-1.001 A", duration_s=5), 0).samples_CT.sum() == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 190), st.integers(1, 30), st.sets(st.integers(0, 2), min_size=1)), min_size=1
    )
)
def test_a_timeline_written_down_is_read_back_unless_it_contradicts_itself(
    rows: list[tuple[int, int, set[int]]],
) -> None:
    entries = tuple(
        TimelineEntry(start / 10, min(start + length, 200) / 10, tuple(sorted(speakers)))
        for start, length, speakers in rows
    )
    text = "; ".join(
        f"{entry.start_s}-{entry.end_s}s {'+'.join(NAMES[speaker] for speaker in entry.speakers)}"
        for entry in entries
    )
    contradicts = any(
        one.start_s < other.end_s and other.start_s < one.end_s and one.speakers != other.speakers
        for one in entries
        for other in entries
    )
    if contradicts:
        with pytest.raises(InputError, match="overlaps entry"):
            read(text)
    else:
        assert read(text) == entries


@given(st.text(alphabet="0123456789:;-+ABCs \n."))
def test_any_text_is_read_into_entries_inside_the_audio_or_refused(text: str) -> None:
    try:
        entries = read(text)
    except InputError:
        return
    assert entries
    assert all(0 <= entry.start_s < entry.end_s <= 20 for entry in entries)
