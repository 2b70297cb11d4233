"""The video that people get: made whole beside the segments, then given the next free name.

The name is written into the manifest before the file takes it. Whatever happens in between, the run that is
queued again either finds its video under that name, or makes it again.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ..common.atomic_file import flush_folder, make_safe_folder, whole_file, whole_folder
from ..common.errors import RunStoreError
from ..common.safe_path import Prefix
from ..media.segment import Piece
from .folder import RunPlace, is_whole, record_of
from .identity import VideoForm
from .manifest import FileRecord

FINAL_STEM = "final"
INCOMPLETE = "incomplete"


def make_video(path: Path, pieces: Iterable[Piece], form: VideoForm, *, complete: bool) -> None:
    """Put a run's segments and sound together at a path where nothing is, whole or not at all.

    What has the path's name already is replaced.

    Raises:
        OSError: it cannot be written (FFmpeg's errors are such).
        RunStoreError: what is there is not what was written.
    """
    whole = whole_file if form.output.suffix else whole_folder
    with whole(path) as temporary:
        form.output.make(
            temporary, pieces, form.sound, form.metadata, form.settings, form.clock, complete=complete
        )


def put_in_place(made: Path, place: RunPlace, announce: Callable[[FileRecord], None]) -> Path:
    """Give the finished video its name in the output folder, without replacing any other file.

    Args:
        made: the video, a file or a folder, on the same disk.
        place: where it goes.
        announce: writes the name down before it is taken.

    Raises:
        RunStoreError: the file is not whole after that.
        OSError: it cannot be moved.
    """
    make_safe_folder(place.final.folder)
    number = next_number(place.final)
    while True:
        target = place.final.folder / f"{place.final.name}_{number:05}_{made.suffix}"
        record = record_of(made, target.relative_to(place.root.resolve()).as_posix())
        announce(record)
        if _moved(made, target):
            break
        number += 1
    flush_folder(target.parent)
    if not is_whole(target, record):
        raise RunStoreError(
            f"output folder: {target} is damaged after it was written. Queue the workflow again"
        )
    return target


def next_number(prefix: Prefix) -> int:
    """One more than the highest number that a file of this prefix has, as the host counts them."""
    numbered = re.compile(re.escape(prefix.name) + r"_(\d{1,9})_")
    found = (numbered.match(file.name) for file in prefix.folder.iterdir())
    return max((int(match[1]) for match in found if match), default=0) + 1


def _moved(made: Path, target: Path) -> bool:
    """Whether the video got its name; False if another file has it."""
    if made.is_dir():
        return _moved_folder(made, target)
    try:
        os.link(made, target)
    except FileExistsError:
        return False
    except OSError:  # a disk without hard links: an empty file holds the name until it is replaced
        try:
            target.touch(exist_ok=False)
        except FileExistsError:
            return False
        made.replace(target)
        return True
    made.unlink()
    return True


def _moved_folder(made: Path, target: Path) -> bool:
    """The new name is taken by an empty folder, which a rename may replace; Windows wants it gone."""
    try:
        target.mkdir()
    except FileExistsError:
        return False
    if sys.platform == "win32":
        target.rmdir()
    made.replace(target)
    return True
