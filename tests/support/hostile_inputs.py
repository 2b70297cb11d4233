"""Strategies for hypothesis: whole manifests, and everything that is almost one."""

import json
from typing import Any

from evertalk_pack.multitalk.runs.manifest import (
    MAX_WINDOWS,
    SEGMENT_SUFFIXES,
    FileRecord,
    Manifest,
    WindowRecord,
    WindowStats,
    carry_name,
    dump_manifest,
    segment_name,
)
from hypothesis import strategies as st

DIGESTS = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
FIGURES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
SIZES = st.integers(1, 2**53)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Whole manifests."""
    windows: list[WindowRecord] = []
    for index in range(draw(st.integers(0, 3))):
        carry = FileRecord(carry_name(index), draw(SIZES), draw(DIGESTS)) if draw(st.booleans()) else None
        carries = carry is not None or draw(st.booleans())
        frames = draw(st.integers(0, 100))
        name = segment_name(index, draw(st.sampled_from(SEGMENT_SUFFIXES)))
        segment = FileRecord(name, draw(SIZES), draw(DIGESTS)) if frames else None
        stats = WindowStats(draw(st.floats(0, 1e9)), draw(FIGURES), draw(FIGURES), draw(st.booleans()))
        windows.append(WindowRecord(index, frames, draw(DIGESTS), segment, carries, carry, stats))
    final = (
        FileRecord("EverTalk/talk_00001_.mp4", draw(SIZES), draw(DIGESTS)) if draw(st.booleans()) else None
    )
    planned = draw(st.integers(max(1, len(windows)), MAX_WINDOWS))
    texts = draw(st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2))
    return Manifest(draw(DIGESTS), texts, planned, tuple(windows), final)


HOSTILE_TEXTS = st.sampled_from(
    ["", "../x", "/etc/passwd", "w000000.mp4", "w000001.mp4", "c000000.safetensors", "a\0b", "C:\\x", "NUL",
     "..", ".", "x" * 5000, "\ud800", "w000000.mp4/", "./w000000.mp4", "EverTalk/../../x.mp4", "NUL.mp4"]
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | HOSTILE_TEXTS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | HOSTILE_TEXTS, inner, max_size=4)
    ),
    max_leaves=12,
)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every part of a JSON value is."""
    keys: Any = (
        value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    return [path, *(place for key in keys for place in places_in(value[key], (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """A JSON value with one part of it changed."""
    if not path:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], other)
    return copy


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with one stretch of them cut out, repeated or overwritten."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 40)))
    return whole[:start] + draw(st.binary(max_size=20)) + whole[end if draw(st.booleans()) else start :]


@st.composite
def hostile_manifests(draw: st.DrawFn) -> bytes:
    """Anything from noise to a manifest with one thing wrong."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.binary(max_size=200))
    if kind == 1:
        return json.dumps(draw(VALUES)).encode()
    whole = dump_manifest(draw(manifests()))
    if kind == 2:
        return draw(damaged(whole))
    value = json.loads(whole)
    place = draw(st.sampled_from(places_in(value)))
    return json.dumps(replaced(value, place, draw(VALUES))).encode()
