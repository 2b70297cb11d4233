"""The editor's part says EverTalk's English in Chinese: templates are found again in filled sentences."""

import json
import re
from pathlib import Path

import pytest
from chinese import read_chinese
from spoken import NODE, Answer, translate

HERE = Path(__file__).resolve().parent
CASES: dict[str, dict[str, str]] = json.loads((HERE / "words_cases.json").read_text(encoding="utf-8"))
HOLE = re.compile(r"\{(\d+)\}")

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")


@pytest.fixture(scope="module")
def answers() -> Answer:
    return translate([case["english"] for case in CASES.values()], read_chinese().names)


@pytest.mark.parametrize("name", CASES)
def test_sentence_is_said_in_chinese(name: str, answers: Answer) -> None:
    assert answers.said[list(CASES).index(name)] == CASES[name]["chinese"]


@pytest.mark.parametrize("name", CASES)
def test_english_stands_below_the_chinese_or_alone(name: str, answers: Answer) -> None:
    english, chinese = CASES[name]["english"], CASES[name]["chinese"]
    both = answers.both[list(CASES).index(name)]
    assert both == (f"{chinese}\n\n{english.strip()}" if chinese else english)


def filled(template: str) -> str:
    """The template with a value in each hole; with none in a hole that follows another at once."""
    return HOLE.sub(r"80\g<1>8", re.sub(r"(?<=\})\{\d+\}", "", template))


def test_every_message_is_found_again_in_a_filled_sentence() -> None:
    everything = read_chinese().messages.items()
    messages = {one: said for one, said in everything if one == one.strip()}  # others are only ever pieces
    texts = [filled(english) for english in messages]
    said = translate(texts, {}).said
    wrong = [
        english
        for english, text, found in zip(messages, texts, said, strict=True)
        if found is None or values_in(found) != values_in(text) or has_english_left(found, messages[english])
    ]
    assert wrong == []


def values_in(text: str) -> set[str]:
    return set(re.findall(r"(?<!\d)80\d{1,2}8(?!\d)", text))


def has_english_left(said: str, chinese: str) -> bool:
    """Whether words stand there that the Chinese template has not."""
    return not set(re.findall(r"[A-Za-z]{3,}", said)) <= set(re.findall(r"[A-Za-z]{3,}", chinese))
