import pytest
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.time_text import pointed_error, read_time, skip_space
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("12.5s", 12.5),
        ("0:07", 7),
        ("1:07.25", 67.25),
        ("90:00", 5400),
        ("1:02:03.5", 3723.5),
        (" 3s", 3),
    ],
)
def test_times_are_read_in_seconds_minutes_and_hours(text: str, seconds: float) -> None:
    assert read_time(text, 0, "times") == (seconds, len(text))


def test_reading_stops_behind_the_time() -> None:
    assert read_time("x 0:12: text", 1, "times") == (12, 6)
    assert read_time("12-20", 0, "times") == (12, 2)


@pytest.mark.parametrize("text", ["", "abc", " :30", "-3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a time such as"):
        read_time(text, 0, "times")


def test_sixty_seconds_beside_minutes_are_refused_at_their_place() -> None:
    with pytest.raises(InputError, match=r"75 seconds beside minutes.*\(character 3\)"):
        read_time("1:75", 0, "times")
    with pytest.raises(InputError, match=r"60 minutes beside hours.*\(character 3\)"):
        read_time("1:60:00", 0, "times")


def test_an_error_shows_the_line_and_a_caret_below_the_character() -> None:
    error = pointed_error("timeline", "unknown word", "first line\nsecond xxx\nthird", 18)
    assert str(error) == "timeline: unknown word (character 19):\n  second xxx\n         ^"


def test_an_error_behind_the_text_points_behind_it() -> None:
    assert str(pointed_error("a", "more", "ab", 2)).splitlines()[1:] == ["  ab", "    ^"]


def test_white_space_is_skipped_to_the_end() -> None:
    assert skip_space("a \n b", 1) == 4
    assert skip_space("a  ", 1) == 3


@given(hours=st.integers(0, 99), minutes=st.integers(0, 59), milliseconds=st.integers(0, 59_999))
def test_a_time_written_down_is_read_back(hours: int, minutes: int, milliseconds: int) -> None:
    text = f"{hours}:{minutes:02}:{milliseconds / 1000:06.3f}"
    seconds, end = read_time(text, 0, "times")
    assert seconds == pytest.approx(hours * 3600 + minutes * 60 + milliseconds / 1000)
    assert end == len(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        seconds, end = read_time(text, 0, "times")
    except InputError as error:
        assert str(error).startswith("times: ")  # noqa: PT017
    else:
        assert seconds >= 0
        assert end > 0
