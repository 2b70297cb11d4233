"""Words by which the editor's search finds a node beside its name, where the host passes them on.

ComfyUI 0.3.75 has no place for them in a node's schema; later releases (0.33 for one) have. They are kept in
`locales/search_words.json`, in every language in one list: the search looks through all of them.
"""

import json
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from comfy_api.latest import io

FIELD = "search_aliases"
"""What later releases call them."""

FILE = Path(__file__).resolve().parents[3] / "locales" / "search_words.json"


def search_words(node_id: str) -> dict[str, Any]:
    """A schema's field for a node's words, by its name; nothing where the host's schema has none."""
    schema: type[Any] = io.Schema
    known = {field.name for field in fields(schema)}
    return {FIELD: all_words()[node_id]} if FIELD in known else {}


@cache
def all_words() -> dict[str, list[str]]:
    """The words of every node, by its id."""
    return json.loads(FILE.read_text(encoding="utf-8"))
