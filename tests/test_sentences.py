"""Sentences are plain English: a short list of phrases that read like a translation is not used.

Looked through are the pages for people (README, CHANGELOG, docs, the help of the nodes), and in Python every
text and docstring of the packages that are shipped. A phrase joins the list when its last occurrence is gone.
"""

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("attention", "convert", "multitalk", "nodes", "tools", "wanvideo")
PAGES = (
    "*.md",
    "docs/*.md",
    "docs/examples/*.md",
    "web/docs/*.md",
    "demo/models/*.md",
    "bench/*.md",
    "web/texts.js",
)

PHRASES = {
    r"(?<!there )\bis no (?!longer|more|faster)\w+": "is not a ...",
    r"\banew\b": "again",
    r"\bhow manieth\b": "every 4th",
    r"\bmak(?:e|es) nothing of\b": "ignore(s)",
    r"\bnothing is known\b": "... is unknown",
    r"\bis believed\b": "is validated",
    r"\b(?:pauses?|paused|connected|damaged) behind\b": "after",
    r"(?:^|[.:;] )of what\b": "subject, verb, object",
}
"""What to look for, and what to write instead."""

WORD_FOR_WORD = {ROOT / "attention" / "probe.py"}
"""Warnings of the fallbacks: people search their logs for them as they are."""

PARAGRAPH = re.compile(r"\S.*(?:\n.*\S.*)*")


def pages() -> list[Path]:
    return sorted(page for pattern in PAGES for page in ROOT.glob(pattern) if not page.name.endswith("zh.md"))


def sources() -> list[Path]:
    files = {file for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    return sorted(files - WORD_FOR_WORD)


@cache
def texts_of(file: Path) -> tuple[tuple[int, str], ...]:
    """The paragraphs of a page, or the texts and docstrings of a Python file, with their line numbers."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        found = PARAGRAPH.finditer(text)
        return tuple((text.count("\n", 0, one.start()) + 1, " ".join(one.group().split())) for one in found)
    constants = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    return tuple((one.lineno, " ".join(one.value.split())) for one in constants if isinstance(one.value, str))


def uses(phrase: str, texts: Iterable[tuple[int, str]]) -> list[str]:
    pattern = re.compile(phrase, re.IGNORECASE)
    return [f"{line}: {match.group()}" for line, text in texts for match in pattern.finditer(text)]


@pytest.mark.parametrize("phrase", PHRASES)
def test_phrase_is_not_used(phrase: str) -> None:
    found = {
        file.relative_to(ROOT).as_posix(): used
        for file in [*pages(), *sources()]
        if (used := uses(phrase, texts_of(file)))
    }
    assert found == {}, f"write {PHRASES[phrase]!r} instead"


def test_the_search_finds_phrases_in_pages_and_in_python(tmp_path: Path) -> None:
    page, source = tmp_path / "page.md", tmp_path / "source.py"
    page.write_text(
        "One.\n\nThere is no way. Nothing is\nknown; of what came, this is no help.\n", encoding="utf-8"
    )
    source.write_text('X = f"{1} is no text"\n\ndef f():\n    """Made\n    anew."""\n', encoding="utf-8")
    used = {
        file: [one for phrase in PHRASES for one in uses(phrase, texts_of(file))] for file in (page, source)
    }
    assert used == {
        page: ["3: is no help", "3: Nothing is known", "3: ; of what"],
        source: ["1: is no text", "4: anew"],
    }
    assert pages()
    assert sources()
