"""Values that a hostile client may put into JSON, and which of them must be refused where."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

Described: TypeAlias = Mapping[str, Any]
"""What /object_info says of one node."""


def _nested(depth: int) -> Any:
    return {"a": [_nested(depth - 1)]} if depth else []


NUMBERS: tuple[Any, ...] = (
    *(-1, 0, 1, 0.5, -0.5, 2**31, 2**63, 2**64, 10**30, -(10**30), 1e308, -1e308, 5e-324),
    *(math.nan, math.inf, -math.inf),
)
TEXTS: tuple[Any, ...] = (
    *("", " ", "abc", "12", "nan", "1e999", "true", "None", "x" * 5_000, "y" * 100_000),
    *("\0", "a\0b", "\x1b[31m", "\r\n\t", "\x7f\x85\u2028", "\ud800", "a\udfffb", "\udc80.safetensors"),
    *("\u202egnp.exe", "\u05d0\u05d1\u05d2", "\U0001f600" * 50, "e\u0301", "\ufeff", "\uffff"),
    *("../x", "../../../etc/passwd", "/etc/passwd", "..", ".", "CON", "nul.mp4", "x.", "x ", "a/../../b"),
    *("C:\\x", "\\\\server\\share", "x [output]", "%date:yyyy%", "%s%n", "{0}", "~", "a/" * 400 + "b"),
    *("0s: a; 0s: b", "99999999999999999999s: a", "0:00-0:01 A+Z", "1,2,3", "nan,nan,nan,nan", "1: 2: 3"),
)
OTHERS: tuple[Any, ...] = (
    *(None, True, False, [], {}, [1], [None, None], [[], []], ["1", 0, 0], [{}, 0], {"a": 1}, {"": None}),
    *({"__value__": "abc"}, {"__value__": ["abc", 1, 2]}, {"__value__": None}, {"\ud800": "\ud800"}),
    *(_nested(100), ["x"] * 5_000),
)
VALUES: tuple[Any, ...] = (*NUMBERS, *TEXTS, *OTHERS)


def inputs_of(node: Described) -> dict[str, tuple[Any, Described, bool]]:
    """A node's inputs: what each takes, its options, and whether it must be given."""
    found: dict[str, tuple[Any, Described, bool]] = {}
    for category in ("required", "optional"):
        for name, (kind, *rest) in node["input"].get(category, {}).items():
            found[name] = (kind, rest[0] if rest else {}, category == "required")
    return found


def choices_of(kind: Any, options: Described) -> list[Any] | None:
    """What a combo offers, or None if it is none."""
    if isinstance(kind, list):
        return list(kind)
    return list(options.get("options") or []) if kind == "COMBO" else None


def is_socket(kind: Any) -> bool:
    """Whether only a link can bring it."""
    return not isinstance(kind, list) and kind not in {"COMBO", "INT", "FLOAT", "STRING", "BOOLEAN"}


def must_be_refused(value: Any, kind: Any, options: Described) -> bool:
    """Whether no host and no node can make sense of a literal.

    Of the rest nothing is said: the host turns "12" into 12 and 5 into "5" before a node sees it.
    """
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
        if isinstance(value, list):
            return is_socket(kind)
    if is_socket(kind):
        return value is not None
    choices = choices_of(kind, options)
    if choices is not None:
        return value not in choices
    if isinstance(value, list):
        return True
    if kind in ("INT", "FLOAT"):
        return isinstance(value, dict) or value is None or _is_beyond(value, kind, options)
    return False


def _is_beyond(value: Any, kind: str, options: Described) -> bool:
    """Whether a number or text, converted as the host does, is none or beyond the widget's ends."""
    try:
        number = int(value) if kind == "INT" else float(value)
    except (ValueError, OverflowError):
        return True
    return not options.get("min", -math.inf) <= number <= options.get("max", math.inf)
