"""What is written into a run's file about it: the prompt and the editor's workflow, as the host writes them.

A client may send anything in their place, and a run takes hours. So what cannot be written is found before
anything is sampled: what only a client's mistake can be is refused, and what a workflow may be is written as
far as it can be, with a warning.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from comfy.cli_args import args

from ....attention.plain_text import plain
from ....multitalk.common.errors import InputError
from ....wanvideo.header_limits import json_layers
from ..report.widget_values import JsonMapping

SAMPLER = "EverTalkSampler"
SOURCE = "extra_pnginfo"
PROMPT = "prompt"

MAX_ENTRIES = 100
"""The editor sends one, the workflow; packs add a few."""

MAX_NAME_CHARACTERS = 200
MAX_BYTES = 16 * 2**20
"""Of all entries. A large workflow has some 2 MB; pictures that are written into widgets can be more."""

MAX_DEPTH = 200
"""Of lists and objects in each other; a workflow has some 10. Readers of files end near 1,000."""

KEPT_BY_CONTAINERS = frozenset({"encoder", "creation_time", "duration"})
"""Names under which mp4 or Matroska write what they say themselves."""

EXPECTED = 'Send an object such as {"workflow": {...}}, or leave it out'


@dataclass(frozen=True, slots=True)
class RunMetadata:
    """Text by name, and what of it is not as it came, a sentence each."""

    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()


def check_metadata(extra_pnginfo: object) -> None:
    """Refuse what no client can have meant.

    Raises:
        InputError: it is not an object, or has a name that cannot be written.
    """
    if args.disable_metadata or not extra_pnginfo:
        return
    if not isinstance(extra_pnginfo, Mapping):
        raise InputError(f"{SOURCE}: {type(extra_pnginfo).__name__}, expected an object. {EXPECTED}")
    entries = cast("Mapping[object, object]", extra_pnginfo)
    if len(entries) > MAX_ENTRIES:
        raise InputError(f"{SOURCE}: {len(entries)} entries, expected {MAX_ENTRIES} at most. {EXPECTED}")
    seen: dict[str, str] = {}
    for name in entries:
        problem = _problem_of(name)
        if problem:
            raise InputError(f"{SOURCE}: the name {plain(repr(name), 100)} {problem}. {EXPECTED}")
        twin = seen.setdefault(str(name).lower(), str(name))
        if twin != name:
            raise InputError(
                f"{SOURCE}: the names {twin!r} and {name!r} are one to video files, which take capitals for "
                f"small letters. Rename one. {EXPECTED}"
            )


def run_metadata(prompt: Any, extra_pnginfo: Any, most_bytes: int = MAX_BYTES) -> RunMetadata:
    """The workflow and the prompt as texts; empty when the user switched that off.

    Raises:
        InputError: see check_metadata.
    """
    if args.disable_metadata:
        return RunMetadata()
    check_metadata(extra_pnginfo)
    entries: dict[str, Any] = {}
    if prompt is not None:
        entries[PROMPT] = {node_id: without_review(node) for node_id, node in prompt.items()}
    sent = cast("JsonMapping", extra_pnginfo or {})
    # Files have one entry of a name, and the prompt is what ran.
    replaced = [name for name in sent if name.lower() in entries]
    entries |= {name: value for name, value in sent.items() if name not in replaced}
    notes = [f"metadata: {name} of {SOURCE} is not written; the prompt that ran is" for name in replaced]
    texts: dict[str, str] = {}
    left_bytes = most_bytes
    for name, value in entries.items():
        text, note = _written(name, value, left_bytes, most_bytes)
        if note:
            notes.append(note)
        if text is not None:
            texts[name] = text
            left_bytes -= len(name.encode()) + len(text)
    return RunMetadata(texts, tuple(notes))


def without_review(node: JsonMapping) -> JsonMapping:
    """A sampler as it was queued: how often it has paused must not show in its video."""
    if node.get("class_type") != SAMPLER:
        return node
    return {name: value for name, value in node.items() if name != "is_changed"}


def _problem_of(name: object) -> str:
    if not isinstance(name, str):
        return "is not text"
    if not name.strip():
        return "is an empty text"
    if len(name) > MAX_NAME_CHARACTERS:
        return f"has {len(name)} characters, more than {MAX_NAME_CHARACTERS}"
    return "" if plain(name) == name and "\n" not in name else "has a character that cannot be written"


def _written(name: str, value: Any, left_bytes: int, most_bytes: int) -> tuple[str | None, str]:
    """An entry as text, or None; and what is not as it came."""
    kept_out = f"{name} is not written into the file"
    if name.lower() in KEPT_BY_CONTAINERS:
        return None, f"metadata: {kept_out}, which has an entry of its own of this name"
    depth, has_odd_numbers = _looked_through(value)
    if depth > MAX_DEPTH:
        return None, f"metadata: {kept_out}: it is nested more than {MAX_DEPTH} deep"
    text = json.dumps(_finite(value) if has_odd_numbers else value)
    if len(text) > left_bytes:
        return None, (
            f"metadata: {kept_out}: it has {len(text) / 2**20:.1f} MiB, and all entries may have "
            f"{most_bytes / 2**20:g} MiB"
        )
    # The host itself writes NaN into a prompt, for nodes that are to run each time.
    odd = has_odd_numbers and name != PROMPT
    return (
        text,
        f"metadata: {name} holds NaN or infinity, which JSON does not have; null is written" if odd else "",
    )


def _looked_through(value: Any) -> tuple[int, bool]:
    """How deep lists and objects lie in each other, and whether a number is not finite."""
    depth, has_odd_numbers = 0, False
    for layer in json_layers(value):
        has_odd_numbers = has_odd_numbers or any(_is_odd(one) for one in layer)
        depth += any(isinstance(one, Mapping | list | tuple) for one in layer)
        if depth > MAX_DEPTH:
            break
    return depth, has_odd_numbers


def _is_odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _finite(value: Any) -> Any:
    """The same with None in place of numbers that are not finite."""
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in cast("JsonMapping", value).items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in cast("list[Any]", value)]
    return None if _is_odd(value) else value
