"""Sentences in the source become templates, and those that a user surely sees are told from the others."""

from pathlib import Path

import pytest
from message_templates import find_templates

PLAIN = 'raise InputError("audio: there is no sound")'


def templates(tmp_path: Path, source: str) -> list[tuple[str, bool]]:
    for package in ("attention", "wanvideo", "multitalk", "nodes"):
        (tmp_path / package).mkdir()
    (tmp_path / "nodes" / "one.py").write_text(source, encoding="utf-8")
    return [(one.text, one.is_shown) for one in find_templates(tmp_path)]


def test_what_varies_is_numbered(tmp_path: Path) -> None:
    source = 'raise InputError(f"size: {a.b:g} of {c!r} is too large")'
    assert templates(tmp_path, source) == [("size: {0} of {1} is too large", True)]


def test_text_over_several_lines_is_one_sentence(tmp_path: Path) -> None:
    source = 'raise ModelFileError(\n    f"lora: {name} "\n    "is no LoRA"\n)'
    assert templates(tmp_path, source) == [("lora: {0} is no LoRA", True)]


@pytest.mark.parametrize(
    "source",
    [
        PLAIN,
        'show_on_node("the run goes on")',
        'self._say("the run goes on")',
        'notes.append("the run goes on")',
        'note = "the run goes on"',
        'raise errors.InputError("the run goes on") from error',
        'note = "the run goes on" if changed else None',
        'NEEDLESS: dict[str, str] = {"tiles": "the run goes on"}',
    ],
)
def test_what_is_raised_said_or_noted_is_shown(tmp_path: Path, source: str) -> None:
    assert [shown for _, shown in templates(tmp_path, source)] == [True]


@pytest.mark.parametrize(
    "source",
    [
        'assert x, "a clip begins at 0"',
        'raise AssertionError("a clip begins at 0")',
        'LOG.info("a clip begins at 0")',
        'lines.append("a clip begins at 0")',
        'raise InputError(f"{name}: {value}, expected {kind}")',
    ],
)
def test_other_texts_are_only_pieces(tmp_path: Path, source: str) -> None:
    assert [shown for _, shown in templates(tmp_path, source)] == [False]


def test_docstrings_and_short_names_are_no_sentences(tmp_path: Path) -> None:
    assert templates(tmp_path, '"""A file about sound."""\n\nNAME = "two words"') == []


def test_place_names_file_and_line(tmp_path: Path) -> None:
    templates(tmp_path, f"\n{PLAIN}")
    assert [one.place for one in find_templates(tmp_path)] == ["nodes/one.py:2"]
