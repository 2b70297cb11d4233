"""The finished windows of a run, named on the disk at a cost that does not grow with their number.

A manifest names a window in some 300 bytes. Written whole after each window, that of a day (30,000 windows)
would write 130 GB. So from the hundredth on a window is named by a small file of its own beside its segment,
`w000123.json`, and the manifest takes those in when they have become a share of it; then they are deleted.

A record is written like every other file, whole or not at all. One that a crash has left beside a manifest
which names its window already is passed over. So is none that is wrong taken for right: windows are known by
keys, each of which stands for all windows before it, and by the digest of their segments.
"""

import logging
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...wanvideo.plain_file import read_plain
from ..common.atomic_file import write_whole
from .lock import STALE_S
from .manifest import (
    NAME,
    DamagedManifestError,
    FileRecord,
    Manifest,
    WindowRecord,
    carry_name,
    dump_manifest,
    dump_window,
    parse_window,
    read_manifest,
)
from .overlap_file import KEPT_BYTES, KEPT_LAST, kept_carries

LOG = logging.getLogger("evertalk")

RECORD_PATTERN = "w*.json"
MAX_RECORD_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class StoreRules:
    """How a run's folder is kept.

    Attributes:
        whole: up to so many windows the manifest is written after each; 100 are five minutes of video.
        share: it is then written again when an eighth as many windows have records: all that a run writes of
            manifests stays within nine times the last one.
        carry_bytes: room for motion frames, beside those of the last windows.
        stale_s: see RunLock.
    """

    whole: int = 100
    share: int = 8
    carry_bytes: int = KEPT_BYTES
    stale_s: float = STALE_S


USUAL_RULES = StoreRules()


def record_name(index: int) -> str:
    """File name of a window's record."""
    return f"w{index:06}.json"


def store_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the folder's manifest. Raises OSError."""
    write_whole(folder / NAME, dump_manifest(manifest))


def read_run(folder: Path) -> Manifest:
    """A folder's manifest, with the windows that were finished since it was written.

    Raises:
        DamagedManifestError, NewerFormatError, OSError: see read_manifest.
    """
    manifest = read_manifest(folder / NAME)
    if manifest.final is not None:
        return manifest
    return replace(manifest, windows=(*manifest.windows, *_records_after(folder, manifest)))


def _records_after(folder: Path, manifest: Manifest) -> Iterator[WindowRecord]:
    for index in range(len(manifest.windows), manifest.planned_windows):
        path = folder / record_name(index)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return
            yield parse_window(read_plain(path, MAX_RECORD_BYTES, follow=False), index)
        except FileNotFoundError:
            return
        except DamagedManifestError as error:
            LOG.warning("%s: %s; windows from %d on are made again", path.name, error, index + 1)
            return


class FinishedWindows:
    """The finished windows of a run whose folder is locked.

    Args:
        folder: the run's folder.
        manifest: what stands there.
        rules: see StoreRules.
    """

    def __init__(self, folder: Path, manifest: Manifest, rules: StoreRules) -> None:
        self._folder, self._rules = folder, rules
        self._head = replace(manifest, windows=())
        self._windows = list(manifest.windows)
        self._carries = {one.index: one.carry.bytes for one in self._windows if one.carry is not None}
        self._listed = len(self._windows)

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def all(self) -> Sequence[WindowRecord]:
        """From the first on."""
        return self._windows

    @property
    def manifest(self) -> Manifest:
        """All of them as a manifest."""
        return replace(self._head, windows=tuple(self._windows))

    def add(self, record: WindowRecord, kept_last: int = KEPT_LAST) -> None:
        """Name a window, which is finished from here on, and delete the motion frames that are kept no more.

        Args:
            record: the window behind the last one; its files are whole.
            kept_last: of how many of the last windows motion frames are kept in any case.

        Raises:
            OSError: it cannot be named, and is not finished.
        """
        finished, rules = len(self._windows) + 1, self._rules
        sizes = self._carries if record.carry is None else {**self._carries, record.index: record.carry.bytes}
        kept = kept_carries(finished, max(sizes.values(), default=0), kept_last, rules.carry_bytes)
        spent = [index for index in sizes if index not in kept]
        fresh = finished - self._listed
        if finished <= rules.whole or fresh >= max(rules.whole, self._listed // rules.share):
            self._list([*self._windows, record], spent)
        else:
            write_whole(self._folder / record_name(record.index), dump_window(record))
            self._windows.append(record)
            _let_go(self._windows, spent)
        self._carries = {index: size for index, size in sizes.items() if index in kept}
        for index in spent:
            (self._folder / carry_name(index)).unlink(missing_ok=True)

    def name_final(self, final: FileRecord) -> None:
        """Write the finished video's name down. Raises OSError."""
        head = replace(self._head, final=final)
        store_manifest(self._folder, replace(head, windows=tuple(self._windows)))
        self._head = head

    def _list(self, windows: list[WindowRecord], spent: Sequence[int]) -> None:
        """Write the manifest, and delete the records that it takes in."""
        _let_go(windows, spent)
        store_manifest(self._folder, replace(self._head, windows=tuple(windows)))
        before, self._listed, self._windows = self._listed, len(windows), windows
        for index in range(before, len(windows)):
            (self._folder / record_name(index)).unlink(missing_ok=True)


def _let_go(windows: list[WindowRecord], spent: Sequence[int]) -> None:
    """The motion frames of these are kept no more."""
    for index in spent:
        windows[index] = replace(windows[index], carry=None)
