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
PAGES = ("*.md", "docs/*.md", "docs/examples/*.md", "web/docs/*.md", "demo/models/*.md", "bench/*.md")

PHRASES = {
    r"how manieth": "every 4th",
    r"mak(?:e|es) nothing of": "ignore(s)",
    r"nothing is known": "... is unknown",
    r"is believed": "is validated",
}
"""What to look for, and what to write instead."""


def pages() -> list[Path]:
    return sorted(page for pattern in PAGES for page in ROOT.glob(pattern) if not page.name.endswith("zh.md"))


def sources() -> list[Path]:
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


@cache
def texts_of(file: Path) -> tuple[tuple[int, str], ...]:
    """The lines of a page; of a Python file its texts, docstrings included, as people read them."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        return tuple(enumerate(text.splitlines(), start=1))
    constants = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    return tuple((one.lineno, " ".join(one.value.split())) for one in constants if isinstance(one.value, str))


def uses(phrase: str, texts: Iterable[tuple[int, str]]) -> list[str]:
    pattern = re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE)
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
    page.write_text("One.\nOf those nothing is known.\n", encoding="utf-8")
    source.write_text(
        '"""A docstring of which\nnothing is\nknown."""\nX = f"{1} is no text"\n', encoding="utf-8"
    )
    assert uses("nothing is known", texts_of(page)) == ["2: nothing is known"]
    assert uses("nothing is known", texts_of(source)) == ["1: nothing is known"]
    assert uses("is no", texts_of(source)) == ["4: is no"]
    assert pages()
    assert sources()
