"""Files that are either whole or not there, whatever happens to the machine meanwhile.

A file is written under a temporary name in its own folder, flushed to the disk, and renamed; then the folder
is flushed, since a rename is a change of the folder. Temporary names begin with TEMPORARY, so that what a
crash left behind can be told from everything else.
"""

import os
import shutil
import sys
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".part-"


@contextmanager
def whole_file(path: Path) -> Generator[Path, None, None]:
    """A temporary path to write to; it becomes `path` when the block ends well, else it is removed.

    The temporary name has the suffix of `path`. A file that `path` names is replaced.

    Raises:
        OSError: the disk is full, the folder is gone or not writable.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        flush_file(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(path.parent)


@contextmanager
def whole_folder(path: Path) -> Generator[Path, None, None]:
    """A temporary path for a folder of flushed files; it becomes `path` when the block ends well.

    A folder that `path` names is replaced, see replace_with.

    Raises:
        OSError: the disk is full, the folder around it is gone or not writable.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        yield temporary
        flush_folder(temporary)
        replace_with(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_with(made: Path, path: Path) -> None:
    """Give a whole file or folder another name on the same disk, which may be taken.

    Of a folder that has the name already, for a moment neither is there: the old one has a temporary name
    beside `made` until the new one is in its place.

    Raises:
        OSError: it cannot be moved.
    """
    old = made.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    if path.is_dir() and not path.is_symlink():
        path.replace(old)
    made.replace(path)
    shutil.rmtree(old, ignore_errors=True)
    flush_folder(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all; see whole_file."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def flush_file(path: Path) -> None:
    """Wait until the file's content is on the disk."""
    # Windows flushes only what is open for writing.
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Wait until the folder's list of files is on the disk; Windows has no such call and needs none."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_safe_folder(folder: Path) -> None:
    """Make a folder and those around it, or find them; the names of new ones are on the disk after that.

    A new folder is an entry in the one around it, and a power cut may lose that entry with all that was
    written in the folder since, however often it was flushed.

    Raises:
        OSError: a file has the name, or it cannot be made.
    """
    missing = [folder]
    while not missing[-1].parent.exists() and missing[-1].parent != missing[-1]:
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        if not path.is_dir():
            path.mkdir(exist_ok=True)
            flush_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders that a crash left in a folder which nobody else writes to."""
    for path in folder.glob(f"{TEMPORARY}*"):
        remove(path)


def remove(path: Path) -> None:
    """Delete a file, a link or a folder, if it is there. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
