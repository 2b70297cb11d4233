"""A workflow in API format, and the inputs of it that a job may set.

An input has a name that jobs use: `picture`, `audio`, `prompt`, `negative`, `seed`, `size`, where the
workflow has exactly one node for it; and for every value of every node `NODE.FIELD`, NODE being its id or its
title.
"""

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

from .errors import WorkflowError
from .json_file import JsonObject

Value: TypeAlias = str | int | float | bool

FILE_FIELDS = {
    ("LoadImage", "image"),
    ("LoadImageMask", "image"),
    ("LoadAudio", "audio"),
    ("LoadVideo", "file"),
}
"""Inputs that name a file in the server's input folder, by class and field."""

FRIENDLY_FILES = {
    "picture": ("LoadImage", "image"),
    "audio": ("LoadAudio", "audio"),
    "video": ("LoadVideo", "file"),
}
PROMPTS = {"prompt": "positive", "negative": "negative"}
SEEDS = ("seed", "noise_seed")
PREFIX = "filename_prefix"
SOUNDTRACK = "soundtrack"
"""The socket of EverTalk Audio Embeds for what is heard in place of the speech."""

SLASHES = "/\\"
PARTS = re.compile(r"%[^%]+%|[/\\]")
"""What a prefix is made of beside plain characters: tokens, and slashes between names."""

SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


class Kind(Enum):
    """What a job may write for an input."""

    FILE = "a file's path"
    TEXT = "text"
    NUMBER = "a number"
    SWITCH = "true or false"
    SIZE = "WIDTHxHEIGHT in pixels, such as 832x480"


@dataclass(frozen=True, slots=True)
class Input:
    """An input that a job may set.

    Attributes:
        kind: what it takes.
        node: the node's id.
        field: the node's field; for a size the node's width and height.
    """

    kind: Kind
    node: str
    field: str


@dataclass(frozen=True)
class Workflow:
    """A workflow.

    Attributes:
        nodes: as in its file.
        inputs: what a job may set, by name.
    """

    nodes: JsonObject
    inputs: Mapping[str, Input]

    def friendly_names(self) -> list[str]:
        """The names without a node in them."""
        return [name for name in self.inputs if "." not in name]

    def is_model_input(self, name: str) -> bool:
        """Whether a job that sets this input makes a server load another model."""
        one = self.inputs[name]
        return one.kind is not Kind.FILE and "Loader" in str(self.nodes[one.node]["class_type"])

    def soundtrack_node(self) -> str | None:
        """The id of a node that a video's sound comes to, where that is not the speech."""
        return next((node_id for node_id, node in self.nodes.items() if SOUNDTRACK in node["inputs"]), None)

    def filled(self, values: Mapping[str, Value], prefix: str) -> JsonObject:
        """The nodes with a job's values; every node that saves a file saves it below `prefix`."""
        nodes = copy.deepcopy(self.nodes)
        for name, value in values.items():
            one = self.inputs[name]
            fields: dict[str, Any] = nodes[one.node]["inputs"]
            if one.kind is Kind.SIZE:
                fields["width"], fields["height"] = (int(side) for side in str(value).split("x"))
                if "size" in fields:
                    fields["size"] = "custom"
            else:
                fields[one.field] = value
        for node in nodes.values():
            if isinstance(node["inputs"].get(PREFIX), str):
                node["inputs"][PREFIX] = f"{prefix}/{_file_name(node['inputs'][PREFIX])}"
        return nodes


def mistake(one: Input, value: object) -> str | None:
    """What is wrong with a value, in words that follow the input's name; None if it will do."""
    fits = {
        Kind.FILE: isinstance(value, str) and value != "",
        Kind.TEXT: isinstance(value, str),
        Kind.NUMBER: isinstance(value, int | float) and not isinstance(value, bool),
        Kind.SWITCH: isinstance(value, bool),
        Kind.SIZE: isinstance(value, str) and SIZE.fullmatch(value) is not None,
    }
    return None if fits[one.kind] else f"is {json.dumps(value)}, expected {one.kind.value}"


def read_workflow(path: Path) -> Workflow:
    """Read a workflow.

    Raises:
        WorkflowError: there is none, or it is in the interface's format.
    """
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkflowError(f"--workflow {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise WorkflowError(f"--workflow {path} is no JSON: {error}.") from error
    if isinstance(nodes, dict) and "nodes" in nodes:
        raise WorkflowError(
            f"--workflow {path} is in the interface's format; export it with File > Export (API)."
        )
    if not _is_api_format(nodes):
        raise WorkflowError(
            f"--workflow {path} is no workflow in API format: expected nodes with a class_type."
        )
    return Workflow(nodes, {**dict(_named_by_node(nodes)), **dict(_friendly(nodes))})


def _is_api_format(nodes: object) -> bool:
    if not isinstance(nodes, dict) or not nodes:
        return False
    return all(
        isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), dict)
        for node in nodes.values()
    )


def _named_by_node(nodes: JsonObject) -> Iterator[tuple[str, Input]]:
    titles = Counter(_title(node) for node in nodes.values())
    for node_id, node in nodes.items():
        title = _title(node)
        for field, value in node["inputs"].items():
            kind = _kind(node["class_type"], field, value)
            if kind is None or field == PREFIX:
                continue
            yield f"{node_id}.{field}", Input(kind, node_id, field)
            if title and titles[title] == 1 and title not in nodes:
                yield f"{title}.{field}", Input(kind, node_id, field)


def _friendly(nodes: JsonObject) -> Iterator[tuple[str, Input]]:
    for name, (class_type, field) in FRIENDLY_FILES.items():
        found = [node_id for node_id, node in nodes.items() if node["class_type"] == class_type]
        if len(found) == 1:
            yield name, Input(Kind.FILE, found[0], field)
    for name, socket in PROMPTS.items():
        found = sorted({_link(node["inputs"].get(socket)) for node in nodes.values()} - {""})
        if len(found) == 1 and isinstance(nodes[found[0]]["inputs"].get("text"), str):
            yield name, Input(Kind.TEXT, found[0], "text")
    seeds = [(node_id, field) for node_id, node in nodes.items() for field in SEEDS if _is_int(node, field)]
    if len(seeds) == 1:
        yield "seed", Input(Kind.NUMBER, *seeds[0])
    sized = [node_id for node_id, node in nodes.items() if _is_int(node, "width") and _is_int(node, "height")]
    if len(sized) == 1:
        yield "size", Input(Kind.SIZE, sized[0], "width")


def _file_name(prefix: str) -> str:
    """The last name of a prefix; a slash inside of a token, as in `%date:yyyy/MM%`, ends none there."""
    *_, (start, _) = [(0, 0), *(found.span() for found in PARTS.finditer(prefix) if found[0] in SLASHES)]
    return prefix[start:].strip(SLASHES + " ") or "video"


def _title(node: JsonObject) -> str:
    return str(node.get("_meta", {}).get("title", ""))


def _link(value: object) -> str:
    return str(value[0]) if isinstance(value, list) and len(value) == 2 else ""


def _is_int(node: JsonObject, field: str) -> bool:
    return type(node["inputs"].get(field)) is int


def _kind(class_type: str, field: str, value: object) -> Kind | None:
    if (class_type, field) in FILE_FIELDS:
        return Kind.FILE
    if isinstance(value, bool):
        return Kind.SWITCH
    if isinstance(value, int | float):
        return Kind.NUMBER
    return Kind.TEXT if isinstance(value, str) else None
