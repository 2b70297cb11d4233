import pytest
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.windows.schedule_text import parse_image_schedule, parse_schedule
from hypothesis import given
from hypothesis import strategies as st


def read(text: str) -> list[tuple[float, str]]:
    return [(entry.start_s, entry.text) for entry in parse_schedule(text, "prompts")]


def test_entries_are_separated_by_semicolons() -> None:
    text = "0s: she smiles; 12.5s: she looks away ;1:05: she waves;"
    assert read(text) == [(0, "she smiles"), (12.5, "she looks away"), (65, "she waves")]


def test_a_new_line_that_begins_with_a_time_starts_an_entry_and_another_does_not() -> None:
    assert read("0s: a man\nin a hat\n\n 5s: a woman\n") == [(0, "a man\nin a hat"), (5, "a woman")]
    assert read("0s: a;\n5s: b;\n\n9s: c\n") == [(0, "a"), (5, "b"), (9, "c")]


def test_colons_and_escaped_semicolons_belong_to_the_prompt() -> None:
    assert read(r"0:00: he says: wait\; then goes; 3s: end") == [(0, "he says: wait; then goes"), (3, "end")]


def test_a_prompt_may_begin_with_a_number() -> None:
    assert read("0: 2 people; 0:05: 3 people") == [(0, "2 people"), (5, "3 people")]


@pytest.mark.parametrize(
    ("text", "problem", "character"),
    [
        ("", "expected a time", 1),
        ("a man talks", "expected a time", 1),
        ("0s a man", "expected a colon after the time", 4),
        ("0s", "expected a colon after the time", 3),
        ("0s: a; soon: b", "expected a time", 8),
        ("0s: a; ; 5s: b", "expected a time", 8),
        ("0s:  ; 5s: b", "the entry has no text", 6),
        ("1s: a; 5s: b", "the first entry must start at 0s", 1),
        ("0s: a; 5s: b; 5s: c", "starts must increase; the entry before starts at 5s", 15),
        ("0s: a; 9s: b; 2s: c", "starts must increase", 15),
        ("0s: a; 1:99: b", "99 seconds beside minutes", 10),
    ],
)
def test_a_mistake_is_pointed_at(text: str, problem: str, character: int) -> None:
    with pytest.raises(InputError, match=rf"^prompts: .*{problem}.*\(character {character}\)") as caught:
        parse_schedule(text, "prompts")
    line, caret = str(caught.value).splitlines()[1:]
    assert caret == " " * (character + 1) + "^"
    assert text.startswith(line[2:])


def test_of_a_long_line_the_part_around_the_mistake_is_shown() -> None:
    text = f"0s: {'a' * 500}; soon: {'b' * 5000}"
    with pytest.raises(InputError, match="expected a time") as caught:
        parse_schedule(text, "prompts")
    line, caret = str(caught.value).splitlines()[1:]
    assert line[caret.index("^") :].startswith("soon: bbb")
    assert line.startswith("  ...aaa")
    assert line.endswith("bbb...")
    assert len(line) < 220


def test_pictures_are_scheduled_by_number() -> None:
    assert parse_image_schedule("0s: 2; 12.5s: 1", 2, "images") == ((0, 1), (12.5, 0))


@pytest.mark.parametrize("number", ["0", "3", "-1", "first", "1.5", "9" * 5000])
def test_a_picture_that_is_not_there_is_refused_at_its_place(number: str) -> None:
    with pytest.raises(InputError, match=r"is not a picture; write its number, 1 to 2 \(character 12\)"):
        parse_image_schedule(f"0s: 1; 5s: {number}", 2, "images")


words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"], exclude_characters="\\;:"), min_size=1)


@given(gaps=st.lists(st.integers(1, 10_000), max_size=6), texts=st.lists(words, min_size=7, max_size=7))
def test_a_schedule_written_down_is_read_back(gaps: list[int], texts: list[str]) -> None:
    starts = [sum(gaps[:count]) / 100 for count in range(len(gaps) + 1)]
    written = list(zip(starts, texts, strict=False))
    assert read("; ".join(f"{start:.2f}s: {text}" for start, text in written)) == written


@given(st.text(alphabet="0123456789:;s\n \\ab."))
def test_any_text_is_read_with_increasing_starts_or_refused(text: str) -> None:
    try:
        entries = parse_schedule(text, "prompts")
    except InputError:
        return
    starts = [entry.start_s for entry in entries]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert all(entry.text for entry in entries)
