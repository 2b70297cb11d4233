"""A run's folder on the disk: where its files are, and which of them can be believed."""

import contextlib
import errno
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from av.error import FFmpegError

from ...wanvideo.plain_file import NotPlainFileError
from ..common.atomic_file import make_safe_folder
from ..common.errors import WINDOWS_KEPT, InputError, RunStoreError
from ..common.fingerprint import SHORT_CHARACTERS, fingerprint, fingerprint_file
from ..common.safe_path import Prefix, checked_prefix
from ..windows.plan import Window
from .manifest import (
    NAME,
    DamagedManifestError,
    FileRecord,
    Manifest,
    WindowRecord,
    carry_name,
)
from .overlap_file import WindowOverlap, read_overlap
from .window_records import read_run

SUFFIX = ".run"

UNREACHABLE = {
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "ETIMEDOUT", "ENOTCONN", "ECONNABORTED", "ECONNRESET"),
        *("ENODEV", "ENXIO", "EREMOTEIO", "EHOSTDOWN"),
    )
    if hasattr(errno, name)
}
"""What the system says of a disk that fails and of a network folder whose server is away."""

DiskError = (OSError, FFmpegError)
"""What a disk that is full, gone or locked raises; FFmpeg's own class is not always an OSError."""


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where a run's files go.

    Attributes:
        root: the output folder, which nothing leaves.
        run: what the run's folder is named after; the same whenever the workflow is queued.
        final: what the finished video is named after; may hold the date.
    """

    root: Path
    run: Prefix
    final: Prefix


def run_folder(place: RunPlace, run_fingerprint: str) -> Path:
    """The folder of a run. The letter keeps a fingerprint of digits from being taken for a video's number."""
    return place.run.folder / f"{place.run.name}_r{run_fingerprint[:SHORT_CHARACTERS]}{SUFFIX}"


def is_of_prefix(folder: Path, place: RunPlace) -> bool:
    """Whether a run's folder is one of this prefix, not of another that begins alike."""
    return folder.parent == place.run.folder and folder.name.rpartition("_r")[0] == place.run.name


def make_folder(folder: Path) -> None:
    """Make the run's folder, or find it.

    Raises:
        RunStoreError: something else has its name, or it cannot be made.
    """
    try:
        if folder.is_symlink():
            raise RunStoreError(
                f"run folder {folder}: it is a link, and windows are only kept in folders of the output "
                "folder itself. Remove the link, or choose another filename_prefix"
            )
        make_safe_folder(folder)
    except OSError as error:
        raise store_error(folder, error) from error


def stored_manifest(folder: Path) -> tuple[Manifest | None, str]:
    """The folder's manifest, or None; a damaged one is renamed, and the sentence says so.

    Raises:
        NewerFormatError: a later EverTalk made it.
        RunStoreError: it cannot be read.
    """
    path = folder / NAME
    try:
        return read_run(folder), ""
    except FileNotFoundError:
        return None, ""
    except DamagedManifestError as error:
        aside = free_name(folder, "manifest.damaged", ".json")
        path.replace(aside)
        return None, f"{error}; it was set aside as {aside.name}, and the run starts over"
    except OSError as error:
        raise store_error(folder, error) from error


def record_of(path: Path, name: str = "") -> FileRecord:
    """A whole file, or a folder of files, as a manifest names it. Raises OSError."""
    return FileRecord(name or path.name, *_size_and_digest(path))


def is_whole(path: Path, record: FileRecord) -> bool:
    """Whether a plain file, or a folder of plain files, with these bytes stands there.

    Raises:
        OSError: nobody can tell: the disk does not answer, or the file may not be read. What is taken for
            damaged is made again and deleted, so a network that is down for a moment must not look so.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and path.stat().st_size != record.bytes:
            return False
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return False
        if stat.S_ISDIR(mode) and _bytes_in(path) != record.bytes:
            return False
        return _size_and_digest(path) == (record.bytes, record.digest)
    except (FileNotFoundError, NotADirectoryError, NotPlainFileError):
        return False


def _size_and_digest(path: Path) -> tuple[int, str]:
    if not path.is_dir():
        return path.stat().st_size, fingerprint_file(path)
    files = sorted(path.iterdir())
    if any(not stat.S_ISREG(file.lstat().st_mode) for file in files):
        raise NotPlainFileError(errno.EINVAL, "a folder of pictures holds something else", str(path))
    digests = [(file.name, fingerprint_file(file)) for file in files]
    return _bytes_in(path), fingerprint(digests)


def _bytes_in(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.iterdir())


def believable(manifest: Manifest, most_bytes: int) -> Manifest:
    """What of a manifest can be: a file that it names may be planted, sparse, and take hours to be read.

    Args:
        manifest: of this run, or of one whose windows are like this one's.
        most_bytes: see VideoForm.
    """
    windows: list[WindowRecord] = []
    for window in manifest.windows:
        if any(file is not None and file.bytes > most_bytes for file in (window.segment, window.carry)):
            break
        windows.append(window)
    final = manifest.final
    if final is not None and final.bytes > most_bytes * manifest.planned_windows:
        final = None
    return replace(manifest, windows=tuple(windows), final=final)


def final_path(root: Path, record: FileRecord) -> Path | None:
    """Where a manifest's finished video stands, if it does, whole, and inside the output folder.

    Raises:
        OSError: see is_whole.
    """
    try:
        named = checked_prefix(record.name, root)
    except InputError:
        return None
    path = named.folder / named.name
    return path if is_whole(path, record) else None


def whole_windows(
    folder: Path, windows: Sequence[WindowRecord], keys: Sequence[str]
) -> tuple[WindowRecord, ...]:
    """The windows from the first on that belong to the run with these keys and whose segments are whole.

    Raises:
        OSError: see is_whole.
    """
    whole: list[WindowRecord] = []
    for window, key in zip(windows, keys, strict=False):
        segment = window.segment
        if (
            window.key != key
            or not window.stats.finite
            or (segment and not is_whole(folder / segment.name, segment))
        ):
            break
        whole.append(window)
    return tuple(whole)


def beginning(
    folder: Path, windows: tuple[WindowRecord, ...], plan: Sequence[Window], size: tuple[int, int]
) -> tuple[tuple[WindowRecord, ...], WindowOverlap]:
    """How much of the finished windows can be continued, and what the next one continues from.

    That of the last two windows is kept: with the last one's damaged, the last window is made again.

    Raises:
        OSError: see is_whole.
    """
    while windows:
        record = windows[-1]
        if len(windows) == len(plan) or not record.carries:
            return windows, WindowOverlap()
        path = folder / carry_name(record.index)
        if record.carry is not None and is_whole(path, record.carry):
            with contextlib.suppress(RunStoreError):
                return windows, read_overlap(path, plan[len(windows)].motion, size)
        windows = windows[:-1]
    return (), WindowOverlap()


def free_name(folder: Path, stem: str, suffix: str) -> Path:
    """A name in the folder that nothing has: with _2, _3, ... if need be."""
    path, number = folder / f"{stem}{suffix}", 1
    while path.exists() or path.is_symlink():
        number += 1
        path = folder / f"{stem}_{number}{suffix}"
    return path


def store_error(path: Path, error: Exception) -> RunStoreError:
    """A disk's error as a sentence that says what to do.

    The batch runner knows a full disk by "disk is full": cluster/evertalk_batch/worker.py, DISK_FULL.
    """
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return RunStoreError(
            f"output folder: the disk is full ({_free_text(path)}) while writing to {path}. Make room. "
            f"{WINDOWS_KEPT}"
        )
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return RunStoreError(
            f"output folder: {path} may not be written to ({error}). Mend the permissions of the folder, or "
            f"start ComfyUI with another --output-directory. {WINDOWS_KEPT}"
        )
    if code in (errno.ENOTDIR, errno.EEXIST):
        return RunStoreError(
            f"output folder: {path} needs a folder where a file is ({error}). Move that file away, or choose "
            f"another filename_prefix. {WINDOWS_KEPT}"
        )
    return _unusable(path, error, code)


def _unusable(path: Path, error: Exception, code: int | None) -> RunStoreError:
    if code in (errno.EISDIR, errno.ENOTEMPTY):
        return RunStoreError(
            f"output folder: {path} needs a file where a folder is ({error}). Move that folder away, or "
            f"choose another filename_prefix. {WINDOWS_KEPT}"
        )
    if code in UNREACHABLE or _is_silent(path):
        return RunStoreError(
            f"output folder: the disk or network share of {path} does not answer ({error}). Look whether it "
            f"is connected and healthy. {WINDOWS_KEPT}"
        )
    if not _is_there(path):
        return RunStoreError(
            f"output folder: {path} is gone: it was deleted, renamed or unmounted while the run wrote to it. "
            "Put it back and queue the workflow again; without it the run starts over"
        )
    return RunStoreError(f"output folder: {path} cannot be used ({error}). Mend that. {WINDOWS_KEPT}")


def _is_silent(path: Path) -> bool:
    """Whether its disk or share does not even tell if it is there: then it is not gone."""
    try:
        path.lstat()  # Python 3.14's `exists` does not raise
    except OSError as error:
        return error.errno in UNREACHABLE
    return False


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _free_text(path: Path) -> str:
    while not _is_there(path) and path != path.parent:
        path = path.parent
    try:
        return f"{shutil.disk_usage(path).free / 1e6:.0f} MB free"
    except OSError:
        return "free space unknown"
