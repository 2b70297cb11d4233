"""Small JSON files that several processes read while one writes them."""

import json
import os
from pathlib import Path
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


def write_json(path: Path, content: JsonObject, *, durable: bool = True) -> None:
    """Write a file that is whole whenever it is read.

    Args:
        path: replaced if it is there.
        content: what goes in.
        durable: wait until it is on the disk. Without, a power cut may leave the file empty.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> JsonObject | None:
    """The object in a file; None if there is no file, or none that holds an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
