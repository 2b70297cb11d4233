"""Reads the header of a .safetensors file, with its remarks on quantised layers, and believes nothing in it.

Layout (public specification of the format): 8 bytes little-endian header length, that many bytes of JSON
(`name -> {dtype, shape, data_offsets}` and `__metadata__`), then the tensors' bytes without gaps.
"""

import math
import os
from pathlib import Path
from typing import Any, cast

from ..attention.plain_text import is_encodable
from .errors import CheckpointError
from .header import CheckpointHeader, TensorInfo
from .header_limits import (
    MAX_DIMENSIONS,
    MAX_ENTRIES,
    MAX_HEADER_BYTES,
    MAX_NAME_BYTES,
    MAX_SIZE,
    MAX_TENSORS,
    JsonLimitError,
    bounded_json,
    short,
)
from .plain_file import open_plain
from .quantised_layers import REMARK_SUFFIX, RemarkError, metadata_remarks, remark_from

LENGTH_BYTES = 8

MAX_REMARK_BYTES = 65_536
"""Of the JSON on one quantised layer, which has some fifty."""

BITS_PER_ELEMENT = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def read_safetensors_header(path: Path) -> CheckpointHeader:
    """The header of the .safetensors file at `path`; no weight is loaded.

    Raises:
        CheckpointError: the header is cut off, too long, no JSON of the right form, or does not agree with
            the file's size; or a remark on quantised layers is not JSON of the right form.
        OSError: it is not a plain file, or cannot be read.
    """
    with open_plain(path) as file:
        file_bytes = os.fstat(file.fileno()).st_size
        if file_bytes < LENGTH_BYTES:
            raise _damaged(path, f"it has {file_bytes} bytes, less than a safetensors file's first field")
        header_bytes = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if header_bytes > MAX_HEADER_BYTES:
            raise _damaged(path, f"its header claims {header_bytes} bytes, more than {MAX_HEADER_BYTES}")
        if LENGTH_BYTES + header_bytes > file_bytes:
            raise _damaged(path, f"its header claims {header_bytes} bytes, the file has {file_bytes}")
        entries = _parse_json(path, file.read(header_bytes))
    metadata = _metadata(path, entries.pop("__metadata__", None))
    if len(entries) > MAX_TENSORS:
        raise _damaged(path, f"it names {len(entries)} tensors, more than {MAX_TENSORS}")
    data_bytes = file_bytes - LENGTH_BYTES - header_bytes
    tensors = {name: _tensor_info(path, name, entry, data_bytes) for name, entry in entries.items()}
    _check_layout(path, entries, data_bytes)
    remarks = _remarks(path, entries, LENGTH_BYTES + header_bytes)
    try:
        metadata_remarks(metadata)
    except RemarkError as error:
        raise _damaged(path, f"its metadata on quantised layers is wrong: {error}") from error
    return CheckpointHeader(path.name, tensors, metadata, remarks)


def _remarks(path: Path, entries: dict[str, Any], data_start: int) -> dict[str, dict[str, Any]]:
    """The remarks that lie in the file as tensors of bytes, by the name of their layer."""
    remarks: dict[str, dict[str, Any]] = {}
    with open_plain(path) as file:
        for name, entry in entries.items():
            if not name.endswith(REMARK_SUFFIX):
                continue
            begin, end = entry["data_offsets"]
            if entry["dtype"] != "U8" or end - begin > MAX_REMARK_BYTES:
                raise _damaged(path, f"{short(name)} is not a short text")
            file.seek(data_start + begin)
            try:
                remarks[name.removesuffix(REMARK_SUFFIX)] = remark_from(file.read(end - begin))
            except RemarkError as error:
                raise _damaged(path, f"{short(name)} is wrong: {error}") from error
    return remarks


def _parse_json(path: Path, text: bytes) -> dict[str, Any]:
    try:
        entries = bounded_json(text)
    except JsonLimitError as error:
        raise _damaged(path, f"its header cannot be read: {error}") from error
    if not isinstance(entries, dict):
        raise _damaged(path, "its header is not a JSON object")
    return cast("dict[str, Any]", entries)


def _metadata(path: Path, value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _damaged(path, "its metadata is not a JSON object")
    metadata = cast("dict[str, object]", value)
    if len(metadata) > MAX_ENTRIES:
        raise _damaged(path, f"its metadata has {len(metadata)} entries, more than {MAX_ENTRIES}")
    if not all(isinstance(text, str) for text in metadata.values()):
        raise _damaged(path, "its metadata holds something that is not text")
    return cast("dict[str, str]", metadata)


def _tensor_info(path: Path, name: str, entry: object, data_bytes: int) -> TensorInfo:
    """One checked header entry: a known type, sizes that are whole numbers, bytes inside the file."""
    if not _is_name(name):
        raise _damaged(path, f"the name {short(name)} is longer than {MAX_NAME_BYTES} bytes, or no text")
    if not isinstance(entry, dict):
        raise _damaged(path, f"the entry of {short(name)} is not a JSON object")
    fields = cast("dict[str, object]", entry)
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS_PER_ELEMENT:
        raise _damaged(path, f"{short(name)} has the unknown type {dtype!r:.40}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(cast("list[int]", offsets)) != 2:
        raise _damaged(path, f"{short(name)} has a shape or offsets that are not sizes")
    sizes = tuple(cast("list[int]", shape))
    if len(sizes) > MAX_DIMENSIONS:
        raise _damaged(path, f"{short(name)} has {len(sizes)} dimensions, more than {MAX_DIMENSIONS}")
    begin, end = cast("list[int]", offsets)
    if not 0 <= begin <= end <= data_bytes:
        raise _damaged(path, f"{short(name)} ends at byte {end} of {data_bytes}: the file is cut off")
    if math.prod(sizes) * BITS_PER_ELEMENT[dtype] != (end - begin) * 8:
        raise _damaged(path, f"{short(name)} has {end - begin} bytes, which is not {dtype} {list(sizes)}")
    return TensorInfo(dtype, sizes)


def _check_layout(path: Path, entries: dict[str, Any], data_bytes: int) -> None:
    """The tensors' bytes follow one another without gap, overlap or rest, as the format demands."""
    expected = 0
    for begin, end in sorted(cast("list[int]", entry["data_offsets"]) for entry in entries.values()):
        if begin != expected:
            raise _damaged(path, f"its tensors overlap or leave a gap at byte {expected}")
        expected = end
    if expected != data_bytes:
        raise _damaged(path, f"its tensors end at byte {expected}, the file at {data_bytes}")


def _are_sizes(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return all(type(item) is int and 0 <= item < MAX_SIZE for item in cast("list[object]", value))


def _is_name(name: str) -> bool:
    """Whether a tensor's name is a text of usual length; half a character (a lone surrogate) is none."""
    return is_encodable(name) and len(name.encode()) <= MAX_NAME_BYTES


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"`{path.name}` is not a usable safetensors file: {what}. Delete it and download it again."
    )
