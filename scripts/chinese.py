"""The Chinese of everything that EverTalk says: `locales/chinese.json`, kept by hand, keyed by the English.

An English text that changes is another key, so that its old Chinese is found to be stale and the new text to
be missing: `make locales` and the tests name both.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path

LOCALES = Path(__file__).resolve().parent.parent / "locales"
CHINESE = LOCALES / "chinese.json"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The sections of the catalogue; each maps English to the language's text.

    Attributes:
        names: of nodes, sockets, widgets and socket types.
        options: choices of widgets that are words.
        texts: tooltips and descriptions.
        notes: the notes beside the workflows.
        messages: errors, warnings and progress; what varies is {0}, {1} and so on.
    """

    names: dict[str, str]
    options: dict[str, str]
    texts: dict[str, str]
    notes: dict[str, str]
    messages: dict[str, str]


def read_chinese(path: Path = CHINESE) -> Catalogue:
    """The catalogue as it is on disk.

    Raises:
        TypeError: a section is missing or unknown.
    """
    return Catalogue(**json.loads(path.read_text(encoding="utf-8")))


def english_of(chinese: Catalogue) -> Catalogue:
    """The same catalogue with every text standing for itself."""
    return Catalogue(
        **{field.name: {text: text for text in getattr(chinese, field.name)} for field in fields(chinese)}
    )


def json_text(value: object) -> str:
    """JSON as it stands in `locales/`."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
