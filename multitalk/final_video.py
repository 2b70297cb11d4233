"""The video that people get: made whole beside the segments, then given the next free name.

The name is written into the manifest before the file takes it. Whatever happens in between, the run that is
queued again either finds its video under that name, or makes it anew.
"""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from .atomic_file import flush_folder
from .errors import RunStoreError
from .manifest import FileRecord
from .run_card import VideoForm
from .run_folder import RunPlace, is_whole, record_of
from .safe_path import Prefix
from .segment import Piece, check_frames, remux

FINAL_NAME = "final.mp4"
INCOMPLETE = "incomplete"


def make_video(path: Path, pieces: Iterable[Piece], form: VideoForm, *, complete: bool) -> None:
    """Put a run's segments and sound into one file, and read it back.

    Raises:
        OSError: it cannot be written (FFmpeg's errors are such).
        RunStoreError: what stands there is not what was written.
    """
    frames = remux(path, pieces, form.sound, form.metadata, form.settings, complete=complete)
    check_frames(path, frames)


def put_in_place(made: Path, place: RunPlace, announce: Callable[[FileRecord], None]) -> Path:
    """Give the finished video its name in the output folder, without replacing any other file.

    Args:
        made: the video, on the same disk.
        place: where it goes.
        announce: writes the name down before it is taken.

    Raises:
        RunStoreError: the file is not whole after that.
        OSError: it cannot be moved.
    """
    place.final.folder.mkdir(parents=True, exist_ok=True)
    number = next_number(place.final)
    while True:
        target = place.final.folder / f"{place.final.name}_{number:05}_.mp4"
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
    """Whether the file got its name; False if another file has it."""
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
