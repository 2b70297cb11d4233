"""What a person is told holds nothing that a log or a page cannot show."""

import pytest
from evertalk_pack.attention.plain_text import plain


@pytest.mark.parametrize(
    "odd",
    [
        *("\0", "\x1b", "\x85", "\u2028", "\ud800"),
        *("\u061c", "\u200f", "\u202e", "\u2066"),
        *("\u200b", "\u2060", "\ufeff", "\ufdd0", "\uffff", "\U0001fffe", "\U0010ffff"),
    ],
    ids=ascii,
)
def test_what_cannot_be_shown_is_spelled(odd: str) -> None:
    spelled = odd.encode("unicode_escape").decode()
    assert plain(f"a{odd}b") == f"a{spelled}b"
    assert plain(f"a{odd}b").isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "\u4f60\u597d\u3000\u4e16\u754c",
        "caf\u00e9",
        "e\u0301",
        "\u05d0\u05d1",
        "\U0001f469\u200d\U0001f4bb",
        "line\n  ^",
    ],
    ids=ascii,
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_a_line_break_stays_before_an_indented_line_alone() -> None:
    assert plain("a\nb\n  ^") == "a\\nb\n  ^"
