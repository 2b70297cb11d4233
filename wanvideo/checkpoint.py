"""Opens a model file, or a folder of them, just far enough to know what it is, and never unpickles."""

import os
import time
from functools import lru_cache
from pathlib import Path

from .errors import CheckpointError
from .folder_header import read_folder_header
from .gguf_header import GGUF_MAGIC, read_gguf_header
from .header import CheckpointHeader
from .model_folder import is_folder_of_weights, known_by
from .plain_file import open_plain
from .safetensors_header import LENGTH_BYTES, read_safetensors_header

SAFETENSORS_SUFFIXES = (".safetensors", ".sft")
GGUF_SUFFIX = ".gguf"
PICKLE_SUFFIXES = (".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".pickle")
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How torch.save writes: a zip archive, or a bare pickle of protocol 2 to 5."""

Stamp = tuple[str, int, int, int, int]
"""Path, inode, size, and when content and entry changed: another file, or the file changed, has another."""

Stamps = tuple[Stamp, ...]
"""Of a model's files; of a model folder with its config and its index."""

KEPT_HEADERS = 8
"""Of a prompt's model files: each is asked for in validation, and two or three times while it loads."""

SETTLED_S = 2.0
"""A file changed more lately may change again within the same tick of its disk's clock, and is not kept."""


def read_header(path: Path, settled_s: float = SETTLED_S) -> CheckpointHeader:
    """The names, types, shapes and remarks in the model file or folder at `path`, without loading a tensor.

    The last few are kept, so that a file that did not change in the last `settled_s` is read once.

    Raises:
        CheckpointError: a pickle, a file that is neither safetensors nor GGUF, one that has the other's
            ending, a damaged one, or a folder that holds no whole model.
    """
    stamps = _stamps(path, settled_s)
    return _read(path) if stamps is None else _read_once(path, stamps)


@lru_cache(maxsize=KEPT_HEADERS)
def _read_once(path: Path, _unchanged: Stamps) -> CheckpointHeader:
    """The header of a file as it was; a refusal is not kept, for a disk may answer the next time."""
    return _read(path)


def _stamps(path: Path, settled_s: float) -> Stamps | None:
    """None where there is no file, or one that may still change."""
    try:
        files = known_by(path) if path.is_dir() else (path,)
    except (OSError, ValueError):
        return None
    stamps = [_stamp(file, settled_s) for file in files]
    known = tuple(stamp for stamp in stamps if stamp is not None)
    return known if len(known) == len(stamps) else None


def _stamp(path: Path, settled_s: float) -> Stamp | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if time.time() - max(status.st_mtime, status.st_ctime) < settled_s:
        return None
    return os.fspath(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: Path) -> CheckpointHeader:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise _is_pickle(path)
    try:
        if is_folder_of_weights(path):
            return read_folder_header(path)
        with open_plain(path) as file:
            start = file.read(LENGTH_BYTES + 1)
        if start.startswith(GGUF_MAGIC):
            if path.suffix.lower() != GGUF_SUFFIX:
                raise CheckpointError(
                    f"`{path.name}` is a GGUF file, although its name says otherwise: give it the ending "
                    ".gguf."
                )
            return read_gguf_header(path)
        if _looks_pickled(start):
            raise _is_pickle(path)
        if path.suffix.lower() == GGUF_SUFFIX:
            raise CheckpointError(
                f"`{path.name}` is not a GGUF file, although its name says so: {_looks_like(start)}."
            )
        if path.suffix.lower() not in SAFETENSORS_SUFFIXES:
            raise CheckpointError(f"`{path.name}` is not a model file: choose a .safetensors or .gguf file.")
        return read_safetensors_header(path)
    except OSError as error:
        raise CheckpointError(
            f"`{path.name}` cannot be read: {error.strerror}. Check that it is there and its access rights."
        ) from error


def _looks_pickled(start: bytes) -> bool:
    """Whether these first 9 bytes begin a pickle.

    A safetensors header of 128 bytes begins with 0x80 too, but `{` follows its 8-byte length.
    """
    return start.startswith(PICKLE_STARTS) and start[LENGTH_BYTES:] != b"{"


def _looks_like(start: bytes) -> str:
    """What a file with these first 9 bytes is, and what to do about it."""
    if start[LENGTH_BYTES:] == b"{":
        return "it is a safetensors file, so give it the ending .safetensors"
    if start.startswith(b"version"):
        return "it is a Git LFS pointer; download the file itself"
    if start.lstrip().startswith(b"<"):
        return "it is a web page; download the file itself"
    return f"it begins with {start[:4]!r}. Delete it and download it again"


def _is_pickle(path: Path) -> CheckpointError:
    return CheckpointError(
        f"`{path.name}` is a pickle, and pickle files can run code: use the .safetensors of this model."
    )
