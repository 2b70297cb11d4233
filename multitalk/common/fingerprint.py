"""Fingerprints of everything that shapes a result: the same for the same values, in every process.

Each value is written as its kind, its length and its bytes, so that no two different values are written
alike; BLAKE2b of that is the fingerprint. Python's own `hash` differs from process to process and is not
used.

A tensor enters with all its bytes. A function enters with its name and what it closes over, an object with
the name of its class and its attributes: so settings of any kind can be told apart. Values that keep state
between runs (caches, counters) do not belong in here.
"""

import hashlib
import inspect
import struct
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePath
from typing import Any, cast

import numpy as np
import torch

from ...wanvideo.plain_file import open_plain
from .tensor_file import drop_page_cache

DIGEST_BYTES = 16
"""128 bits: no two runs of one output folder ever meet by chance."""

SHORT_CHARACTERS = 10
"""Of a fingerprint in a folder's name: 40 bits; the manifest inside has it whole."""

MAX_DEPTH = 32

CHUNK_VALUES = 1 << 22


class NoFingerprintError(TypeError):
    """A value that has no fingerprint: it is nested too deeply, or refers to itself."""


def fingerprint(*values: Any) -> str:
    """The fingerprint of some values, as 32 hexadecimal characters.

    Raises:
        NoFingerprintError: a value is nested more than MAX_DEPTH deep.
    """
    writer = _Writer()
    for value in values:
        writer.write(value, 0)
    return writer.digest()


def chained(before: str, *values: Any) -> str:
    """The key of a window: of the key of the window before (empty for the first) and its own inputs.

    It stands for all that the window was made of, back to the first one: two runs whose keys agree at a
    window have the same frames up to its end.
    """
    return fingerprint("chain", before, *values)


def fingerprint_file(file: PurePath) -> str:
    """The fingerprint of a file's bytes. Raises OSError where it cannot be read."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with open_plain(Path(file)) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class _Writer:
    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def digest(self) -> str:
        return self._digest.hexdigest()

    def entry(self, kind: str, content: bytes) -> None:
        name = kind.encode()
        self._digest.update(struct.pack("<HQ", len(name), len(content)) + name)
        self._digest.update(content)

    def write(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise NoFingerprintError(f"a value is nested more than {MAX_DEPTH} deep: {type(value).__name__}")
        if self._write_plain(value):
            return
        if isinstance(value, torch.Tensor):
            self._write_tensor(value)
        elif isinstance(value, Mapping):
            self._write_mapping(cast("Mapping[Any, Any]", value), depth)
        elif isinstance(value, list | tuple | range):
            self._write_all("list", cast("Iterable[Any]", value), depth)
        elif isinstance(value, np.ndarray):
            array = cast("np.ndarray[Any, Any]", value)
            self._write_all("array", (str(array.dtype), array.shape, array.tobytes()), depth)
        elif isinstance(value, set | frozenset):
            self._write_set(cast("Iterable[Any]", value), depth)
        else:
            self._write_object(value, depth)

    def _write_plain(self, value: Any) -> bool:
        """Values that hold no others."""
        if value is None or isinstance(value, bool):
            self.entry("constant", repr(value).encode())
        elif isinstance(value, Enum):
            self.entry("enum", f"{_name(type(value))}.{value.name}".encode())
        elif isinstance(value, int | Fraction):
            self.entry(type(value).__name__, str(value).encode())
        elif isinstance(value, float):
            self.entry("float", struct.pack("<d", value))
        elif isinstance(value, str):
            self.entry("str", value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, bytes | bytearray | memoryview):
            self.entry("bytes", bytes(value))
        elif isinstance(value, torch.dtype | torch.Size | PurePath):
            self.entry(type(value).__name__, str(value).encode("utf-8", "surrogatepass"))
        else:
            return False
        return True

    def _write_tensor(self, tensor: torch.Tensor) -> None:
        self.entry("tensor", f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().reshape(-1)
        for start in range(0, flat.numel(), CHUNK_VALUES):
            chunk = flat[start : start + CHUNK_VALUES].contiguous().cpu()
            self._digest.update(chunk.view(torch.uint8).numpy().data)
            if flat.numel() > CHUNK_VALUES:
                drop_page_cache()

    def _write_mapping(self, mapping: Mapping[Any, Any], depth: int) -> None:
        self.entry("mapping", str(len(mapping)).encode())
        # By their own fingerprints: keys of different kinds have no order, and a dict's is an accident.
        for key in sorted(mapping, key=fingerprint):
            self.write(key, depth + 1)
            self.write(mapping[key], depth + 1)

    def _write_all(self, kind: str, values: Iterable[Any], depth: int) -> None:
        items = list(values)
        self.entry(kind, str(len(items)).encode())
        for item in items:
            self.write(item, depth + 1)

    def _write_set(self, values: Iterable[Any], depth: int) -> None:
        self._write_all("set", sorted(fingerprint(value) for value in values), depth)

    def _write_object(self, value: Any, depth: int) -> None:
        if is_dataclass(value) and not isinstance(value, type):
            self.entry("dataclass", _name(type(value)).encode())
            for field in fields(value):
                self.write(field.name, depth + 1)
                self.write(getattr(value, field.name), depth + 1)
        elif isinstance(value, partial):
            self.entry("partial", b"")
            self._write_all("list", (value.func, value.args, value.keywords), depth)
        elif inspect.ismethod(value):
            self.entry("method", _name(value).encode())
            self.write(value.__self__, depth + 1)
        elif inspect.isfunction(value):
            self.entry("function", _name(value).encode())
            self.write(dict(inspect.getclosurevars(value).nonlocals), depth + 1)
        elif callable(value) and not hasattr(value, "__dict__"):
            self.entry("callable", _name(value).encode())
        elif isinstance(value, type):
            self.entry("class", _name(value).encode())
        else:
            self.entry("object", _name(type(value)).encode())
            # Without attributes, as a number of numpy's or a device, it is what it says of itself.
            self.write(dict(value.__dict__) if hasattr(value, "__dict__") else repr(value), depth + 1)


def _name(value: Any) -> str:
    """The name of a class or function, without the module: a pack's module name holds its folder's."""
    return str(getattr(value, "__qualname__", type(value).__qualname__))
