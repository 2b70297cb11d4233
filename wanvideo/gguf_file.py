"""Walks through the header of a GGUF file, believing nothing in it; every step is counted against a limit.

Layout (public specification, versions 2 and 3): `GGUF`, version, number of tensors, number of metadata
entries; the entries (name, kind, value); of each tensor its name, sizes from the innermost on, type and
offset; then, aligned, the tensors' bytes. Numbers are little-endian; in files of big-endian machines, big.
"""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from .header_limits import (
    MAX_ARRAY_DEPTH,
    MAX_DIMENSIONS,
    MAX_ELEMENTS,
    MAX_ENTRIES,
    MAX_GGUF_HEADER_BYTES,
    MAX_NAME_BYTES,
    MAX_SIZE,
    MAX_TENSORS,
    short,
)

GGUF_MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT_ENTRY = "general.alignment"
DEFAULT_ALIGNMENT = 32

UINT32, STRING, ARRAY = 4, 8, 9
BYTES_OF_KIND = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Of a value of each kind whose size is fixed."""


class GgufDamageError(ValueError):
    """A header that is cut off, claims too much, or contradicts itself."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor as the header names it.

    Attributes:
        name: unique in the file.
        sizes: from the innermost on.
        kind: number of its type.
        offset: of its first byte after the start of all tensors' bytes.
    """

    name: str
    sizes: tuple[int, ...]
    kind: int
    offset: int


class GgufWalk:
    """One pass through a header.

    Args:
        file: at its beginning.

    Attributes:
        tensors: as the header names them, in its order.
        data_bytes: how many bytes there are for them.
        alignment: that offsets keep.

    Raises:
        GgufDamageError: see there.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._bytes = os.fstat(file.fileno()).st_size
        self._end = min(self._bytes, MAX_GGUF_HEADER_BYTES)
        self._place = 0
        self._elements = 0
        self._order = "<"
        self.alignment = DEFAULT_ALIGNMENT
        if self._take(4) != GGUF_MAGIC:
            raise GgufDamageError("it does not begin with GGUF")
        self._read_version()
        num_tensors, num_entries = self._number("Q"), self._number("Q")
        if num_tensors > MAX_TENSORS:
            raise GgufDamageError(f"it claims {num_tensors} tensors, more than {MAX_TENSORS}")
        if num_entries > MAX_ENTRIES:
            raise GgufDamageError(f"it claims {num_entries} entries of metadata, more than {MAX_ENTRIES}")
        self._pass_entries(num_entries)
        self.tensors = [self._tensor() for _ in range(num_tensors)]
        start = -(-self._place // self.alignment) * self.alignment
        self.data_bytes = max(0, self._bytes - start)
        names = {tensor.name for tensor in self.tensors}
        if len(names) < num_tensors:
            raise GgufDamageError("it names a tensor twice")

    def _read_version(self) -> None:
        version = self._number("I")
        if version & 0xFFFF == 0:  # a file of a machine of the other byte order
            self._order, version = ">", version >> 24
        if version not in VERSIONS:
            raise GgufDamageError(f"it has version {version}, expected 2 or 3")

    def _pass_entries(self, count: int) -> None:
        names: set[str] = set()
        for _ in range(count):
            name = self._text()
            if name in names:
                raise GgufDamageError(f"its metadata names {short(name)} twice")
            names.add(name)
            kind = self._number("I")
            if name != ALIGNMENT_ENTRY:
                self._pass_value(kind, 0)
                continue
            self.alignment = self._number("I") if kind == UINT32 else 0
            if self.alignment == 0 or self.alignment & (self.alignment - 1):
                raise GgufDamageError(f"its {ALIGNMENT_ENTRY} is not a power of two")

    def _pass_value(self, kind: int, depth: int) -> None:
        size = BYTES_OF_KIND.get(kind)
        if size is not None:
            self._pass(size)
        elif kind == STRING:
            self._pass(self._number("Q"))
        elif kind == ARRAY and depth < MAX_ARRAY_DEPTH:
            self._pass_array(depth)
        else:
            raise GgufDamageError(f"its metadata has a value of the unknown kind {kind}, or one too deep")

    def _pass_array(self, depth: int) -> None:
        kind, count = self._number("I"), self._number("Q")
        self._elements += count
        if self._elements > MAX_ELEMENTS:
            raise GgufDamageError(f"its metadata claims an array of {count} values, more than {MAX_ELEMENTS}")
        size = BYTES_OF_KIND.get(kind)
        if size is not None:
            self._pass(size * count)
            return
        for _ in range(count):
            self._pass_value(kind, depth + 1)

    def _tensor(self) -> GgufTensor:
        name = self._text()
        num_sizes = self._number("I")
        if num_sizes > MAX_DIMENSIONS:
            raise GgufDamageError(f"{short(name)} has {num_sizes} dimensions, more than {MAX_DIMENSIONS}")
        sizes = tuple(self._number("Q") for _ in range(num_sizes))
        kind, offset = self._number("I"), self._number("Q")
        if max((*sizes, offset)) >= MAX_SIZE or offset % self.alignment:
            raise GgufDamageError(f"{short(name)} has sizes or an offset that cannot be")
        return GgufTensor(name, sizes, kind, offset)

    def _text(self) -> str:
        length = self._number("Q")
        if length > MAX_NAME_BYTES:
            raise GgufDamageError(f"it claims a name of {length} bytes, more than {MAX_NAME_BYTES}")
        try:
            return self._take(length).decode()
        except UnicodeDecodeError as error:
            raise GgufDamageError("one of its names is not UTF-8") from error

    def _number(self, form: str) -> int:
        number: int = struct.unpack(self._order + form, self._take(struct.calcsize(self._order + form)))[0]
        return number

    def _take(self, count: int) -> bytes:
        self._check(count)
        taken = self._file.read(count)
        if len(taken) < count:
            raise GgufDamageError("it is cut off")
        self._place += count
        return taken

    def _pass(self, count: int) -> None:
        self._check(count)
        self._place += count
        self._file.seek(self._place)

    def _check(self, count: int) -> None:
        if self._place + count <= self._end:
            return
        if self._end < self._bytes:
            raise GgufDamageError(f"its header is longer than {MAX_GGUF_HEADER_BYTES} bytes")
        raise GgufDamageError(f"its header claims more bytes than the {self._bytes} that the file has")
