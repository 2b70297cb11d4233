"""Windows that another run has already made: those before the place where the two begin to differ.

A run whose sound only grew at its end is another run, with a folder of its own, but its first windows saw and
heard the same; so is a run that has another seed for one window, up to that window. They are copied from the
folder of the other run. What a window hears is compared as sound, while the speech encoder listens to the
whole track at once: after a shorter sound a window was made of features that were encoded under that, and
differs from what a run from the start would give as much as these features do.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from ..common.atomic_file import whole_file
from ..common.errors import RunStoreError
from ..media.frame_clock import FrameClock
from ..media.segment import Piece
from ..windows.plan import Window
from .folder import SUFFIX, DiskError, RunPlace, believable, final_path, is_of_prefix, is_whole, record_of
from .identity import VideoForm
from .manifest import FileRecord, Manifest, WindowRecord, carry_name, segment_name
from .window_records import read_run

MAX_DONORS = 100
"""How many folders of the same prefix are looked into, the newest first."""


@dataclass(frozen=True, slots=True)
class SourceRun:
    """Another run whose first windows are also this one's.

    Attributes:
        folder: its folder.
        manifest: its manifest.
        shared: how many windows can be taken over.
    """

    folder: Path
    manifest: Manifest
    shared: int


def find_donor(
    place: RunPlace, own: Path, keys: Sequence[str], plan: Sequence[Window], most_bytes: int
) -> SourceRun | None:
    """The run of the same prefix with the most windows to take over; see believable for `most_bytes`."""
    best: SourceRun | None = None
    for folder in other_folders(place, own):
        try:
            manifest = believable(read_run(folder), most_bytes)
            shared = continuable(folder, manifest, keys, plan)
        except (RunStoreError, OSError):
            continue
        if shared > (best.shared if best else 0):
            best = SourceRun(folder, manifest, shared)
    return best


def other_folders(place: RunPlace, own: Path) -> list[Path]:
    """Run folders of the same prefix, the newest first."""
    found = [
        (folder.stat().st_mtime, folder)
        for folder in place.run.folder.glob(f"*{SUFFIX}")
        if is_of_prefix(folder, place) and folder != own and not folder.is_symlink() and folder.is_dir()
    ]
    return [folder for _, folder in sorted(found, reverse=True)[:MAX_DONORS]]


def continuable(folder: Path, manifest: Manifest, keys: Sequence[str], plan: Sequence[Window]) -> int:
    """How many of a run's windows have these keys, up to one that can be continued from. Raises OSError."""
    shared = 0
    for record, key in zip(manifest.windows, keys, strict=False):
        if record.key != key or not record.stats.finite:
            break
        shared += 1
    while 0 < shared < len(plan) and manifest.windows[shared - 1].carries:
        carry = manifest.windows[shared - 1].carry
        if carry is not None and is_whole(folder / carry.name, carry):
            break
        shared -= 1
    return shared


def take_over(donor: SourceRun, folder: Path, root: Path, form: VideoForm) -> tuple[WindowRecord, ...]:
    """Copy a donor's windows into a run's folder; none of them if the donor changes meanwhile.

    Raises:
        RunStoreError, OSError: a file cannot be copied or is not what its manifest says.
    """
    records: list[WindowRecord] = []
    for record, piece in zip(
        donor.manifest.windows[: donor.shared], pieces_of(donor, root, form.clock), strict=True
    ):
        name = segment_name(record.index, form.output.segment_suffix)
        segment = None if piece is None else _copied(piece, folder / name, form)
        carry = record.carry if record.index == donor.shared - 1 else None
        if carry is not None:
            with whole_file(folder / carry_name(record.index)) as temporary:
                shutil.copyfile(donor.folder / carry.name, temporary)
        records.append(replace(record, segment=segment, carry=carry))
    return tuple(records)


def _copied(piece: Piece, target: Path, form: VideoForm) -> FileRecord:
    """Bring a window's frames into a file of their own."""
    with whole_file(target) as temporary:
        if piece.path.name == target.name:
            shutil.copyfile(piece.path, temporary)
        else:
            form.output.cut(temporary, piece, form.settings)
    return record_of(target)


def pieces_of(donor: SourceRun, root: Path, clock: FrameClock | None = None) -> Iterator[Piece | None]:
    """Where each window's frames are: in its segment, in the finished video, or nowhere as there are none.

    Args:
        donor: the other run.
        root: the output folder.
        clock: when the finished video shows its frames; None: at a steady rate.

    Raises:
        RunStoreError: in neither.
    """
    windows = donor.manifest.windows[: donor.shared]
    starts = accumulate((window.frames for window in windows), initial=0)
    final = None if donor.manifest.final is None else final_path(root, donor.manifest.final)
    for window, start in zip(windows, starts, strict=False):
        if window.segment is None:
            yield None
            continue
        segment = donor.folder / window.segment.name
        if is_whole(segment, window.segment):
            yield Piece(segment, 0, window.frames)
        elif final is not None:
            yield Piece(final, start, window.frames, clock)
        else:
            raise RunStoreError(f"{segment} is gone or damaged")


TakeOverError = (RunStoreError, *DiskError)
"""What take_over raises when there is nothing to take over after all."""
