"""Limits on what a model file's header may say.

Each limit is far above what is published, and far below what costs seconds or gigabytes.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, cast

MAX_HEADER_BYTES = 32 * 2**20
"""Of a safetensors header. The format allows 100 MB; a 14B model has 200 kB, LoRAs carry training settings of
some 100 kB, and a few tag lists of some megabytes. 31 MiB with 99,000 tensors took 0.66 s and 155 MB beside
the bytes themselves (Python 3.11, one core of a virtual machine)."""

MAX_TENSORS = 100_000
"""A 14B model has 1,100 to 2,000, with scales of all layers 5,000, a LoRA of every layer 4,000."""

MAX_DIMENSIONS = 8
"""A convolution over time, height and width has 5; GGUF's own library stops at 4."""

MAX_SIZE = 2**63
"""Of one dimension, and of an offset: what a signed 64-bit number holds."""

MAX_NAME_BYTES = 1024
"""Of a tensor's name: the longest, of LoRAs, have 150."""

MAX_ENTRIES = 20_000
"""Of metadata: a LoRA's training settings have a hundred, a GGUF file some fifty."""

MAX_ELEMENTS = 2_000_000
"""In all arrays of a GGUF file's metadata: a tokenizer has 260,000 words, each with a text, a number and a
kind, and sometimes as many merges."""

MAX_ARRAY_DEPTH = 4
"""Of arrays in arrays in GGUF metadata, which no known file has at all."""

MAX_GGUF_HEADER_BYTES = 256 * 2**20
"""Most of it is passed over, not read; 2,000,000 words of 100 bytes."""

MAX_BRACKETS = 4 * MAX_TENSORS
"""In a safetensors header, outside its texts: three a tensor."""

MAX_COMMAS = (5 + MAX_DIMENSIONS) * MAX_TENSORS
MAX_QUOTES = 12 * MAX_TENSORS
"""Ten a tensor: its name, the names of three fields, and its type."""

SHOWN_CHARACTERS = 80
"""Of a name in a message."""


class JsonLimitError(ValueError):
    """JSON that would take more to read than its limits allow, or that is none."""


def bounded_json(
    stored: bytes | str,
    *,
    parse_constant: Callable[[str], Any] | None = None,
    parse_float: Callable[[str], Any] | None = None,
) -> Any:
    """What JSON in UTF-8 says, read only after its lists, commas and texts were counted.

    Counting 31 MiB takes 0.2 s and four times their memory, while parsing 90 MB of brackets takes 3 GB.

    Args:
        stored: the JSON.
        parse_constant: what becomes of NaN and infinity, see json.loads; may raise JsonLimitError.
        parse_float: what becomes of other numbers that are not whole; the same.

    Raises:
        JsonLimitError: too long, too many values, too deep, a name twice in one object, or no JSON in UTF-8.
    """
    try:
        content = stored.encode() if isinstance(stored, str) else stored
        text = content.decode()
    except UnicodeError as error:
        raise JsonLimitError("it is not UTF-8") from error
    _check_amount(content)
    try:
        return json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=parse_constant, parse_float=parse_float
        )
    except JsonLimitError:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonLimitError("it is not JSON") from error


def json_layers(value: object) -> Iterator[list[object]]:
    """The values of some JSON, those of one depth together, the names in objects among them; itself first."""
    layer = [value]
    while layer:
        yield layer
        layer = [inner for one in layer for inner in _inside(one)]


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        held = cast("Mapping[object, object]", value)
        return chain(held, held.values())
    return cast("list[object]", value) if isinstance(value, list | tuple) else ()


def short(name: str) -> str:
    """A name out of a file for a message: printable, however long it is and whatever is in it."""
    shown = name[:SHOWN_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    cut = "..." if len(name) > SHOWN_CHARACTERS else ""
    return "`" + "".join(one if one.isprintable() else "?" for one in shown) + f"{cut}`"


def _check_amount(content: bytes) -> None:
    if len(content) > MAX_HEADER_BYTES:
        raise JsonLimitError(f"it has {len(content)} bytes, more than {MAX_HEADER_BYTES}")
    # Backslashes stand in texts alone. Without pairs of them and quotes behind them, quotes are texts' ends.
    plain = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > MAX_QUOTES:
        raise JsonLimitError(f"it has more than {MAX_QUOTES // 2} texts")
    outside = b"".join(plain.split(b'"')[::2])
    if outside.count(b"[") + outside.count(b"{") > MAX_BRACKETS or outside.count(b",") > MAX_COMMAS:
        raise JsonLimitError("it has more lists and values than any model or workflow")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise JsonLimitError(f"it names {short(repeated)} twice")
    return fields
