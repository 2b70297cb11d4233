"""What a run finds in its folder when it is queued: nothing, finished windows, or the whole video."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..common.atomic_file import remove, remove_leftovers
from .final_video import FINAL_STEM, INCOMPLETE
from .folder import (
    RunPlace,
    beginning,
    believable,
    final_path,
    stored_manifest,
    whole_windows,
)
from .identity import Resume, RunIdentity, VideoForm
from .manifest import SEGMENT_SUFFIXES, Manifest, WindowRecord
from .overlap_file import WindowOverlap
from .window_records import RECORD_PATTERN, store_manifest
from .window_reuse import TakeOverError, find_donor, take_over

LOG = logging.getLogger("evertalk")


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run's folder, looked through and tidied.

    Attributes:
        manifest: names what was found whole.
        carry: what the first unfinished window continues from.
        final: the finished video, if it exists.
    """

    manifest: Manifest
    carry: WindowOverlap = field(default_factory=WindowOverlap)
    final: Path | None = None


def open_run(
    folder: Path,
    place: RunPlace,
    identity: RunIdentity,
    form: VideoForm,
    resume: Resume,
    say: Callable[[str], None],
) -> OpenedRun:
    """Look through the folder of a run, whose lock is held, and bring its manifest to what can be believed.

    Raises:
        RunStoreError: a later EverTalk's folder.
        OSError: the folder cannot be read or written.
    """
    remove_leftovers(folder)
    stored, note = stored_manifest(folder)
    if note:
        say(note)
    if stored is not None and (resume is Resume.RESTART or stored.fingerprint != identity.fingerprint):
        stored = None
    most_bytes = form.most_bytes(identity.windows)
    known = None if stored is None else believable(stored, most_bytes)
    final = None if known is None or known.final is None else final_path(place.root, known.final)
    if stored is not None and final is not None:
        clear_away(folder, stored)
        say(f"all {len(identity.windows)} windows were finished; the video is {final}")
        return OpenedRun(stored, WindowOverlap(), final)
    found = _Finder(folder, place, identity, form, say)
    windows, carry, source = found.own(stored, () if known is None else known.windows)
    if not windows and resume is Resume.AUTO:
        windows, carry, source = found.of_another_run(most_bytes)
    if windows:
        say(f"resumed: {len(windows)} of {len(identity.windows)} windows were finished{source}")
    manifest = Manifest(identity.fingerprint, identity.settings, len(identity.windows), windows)
    store_manifest(folder, manifest)
    _delete_unnamed(folder, manifest)
    return OpenedRun(manifest, carry)


Found = tuple[tuple[WindowRecord, ...], WindowOverlap, str]
"""Windows, what the next one continues from, and where they come from."""


@dataclass(frozen=True, slots=True)
class _Finder:
    folder: Path
    place: RunPlace
    identity: RunIdentity
    form: VideoForm
    say: Callable[[str], None]

    def continued(self, windows: tuple[WindowRecord, ...], source: str) -> Found:
        size = (self.form.height_px, self.form.width_px)
        return (*beginning(self.folder, windows, self.identity.windows, size), source)

    def own(self, stored: Manifest | None, known: tuple[WindowRecord, ...]) -> Found:
        """The run's own windows, of those that its manifest can be believed."""
        if stored is None:
            return (), WindowOverlap(), ""
        found = self.continued(whole_windows(self.folder, known, self.identity.keys), "")
        lost = len(stored.windows) - len(found[0])
        if lost and stored.final is not None:
            self.say(f"the finished video {stored.final.name} is gone or was changed: the run starts over")
        elif lost:
            self.say(
                f"{lost} of {len(stored.windows)} finished windows are damaged or gone from "
                f"{self.folder.name}, and are made again"
            )
        return found

    def of_another_run(self, most_bytes: int) -> Found:
        """The first windows of a run whose sound was shorter, or that has other seeds from a window on."""
        donor = find_donor(self.place, self.folder, self.identity.keys, self.identity.windows, most_bytes)
        if donor is None:
            return (), WindowOverlap(), ""
        try:
            windows = take_over(donor, self.folder, self.place.root, self.form)
        except TakeOverError as error:
            LOG.info("windows of %s cannot be used: %s", donor.folder.name, error)
            return (), WindowOverlap(), ""
        return self.continued(windows, f" by {donor.folder.name}, which is the same up to there")


def clear_away(folder: Path, manifest: Manifest) -> None:
    """Delete the segments of a finished run, whose frames are in the video. Raises OSError."""
    for pattern in (f"{FINAL_STEM}*", RECORD_PATTERN):
        for made in folder.glob(pattern):
            remove(made)
    for window in manifest.windows:
        if window.segment is not None:
            (folder / window.segment.name).unlink(missing_ok=True)


def _delete_unnamed(folder: Path, manifest: Manifest) -> None:
    """Files of windows that the manifest does not name, or names no more, and the records that it took in."""
    files = [file for window in manifest.windows for file in (window.segment, window.carry)]
    named = {file.name for file in files if file is not None}
    made = (f"{FINAL_STEM}*", f"{INCOMPLETE}*")
    for pattern in (*(f"w*{suffix}" for suffix in SEGMENT_SUFFIXES), RECORD_PATTERN, "c*.safetensors", *made):
        for file in folder.glob(pattern):
            if file.name not in named:
                remove(file)
