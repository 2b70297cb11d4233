"""What earlier runs took, read from the manifests that they left."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from ..common.errors import RunStoreError
from .folder import SUFFIX, RunPlace, is_of_prefix
from .manifest import NAME, Manifest, read_settings
from .preflight import Past, median_bytes_per_frame
from .window_records import read_run

PACE, PICTURE, REQUEST = "pace", "picture", "request"
"""Names in a manifest's settings: what decides the seconds of a window, the bytes of a frame, and which run
it is as far as can be told without its weights."""

MAX_MANIFESTS = 50
MAX_BYTES = 1_000_000
"""Of a manifest that is read for its figures: 3,000 windows. Longer ones of other runs are left out, so that
it stays quick."""


@dataclass(frozen=True, slots=True)
class RunMarks:
    """What runs are compared by.

    Attributes:
        pace: what decides the seconds of a window.
        picture: what decides the bytes of a frame.
        request: which run it is, but for its weights.
    """

    pace: str
    picture: str
    request: str

    def settings(self) -> dict[str, str]:
        """For the manifest."""
        return {PACE: self.pace, PICTURE: self.picture, REQUEST: self.request}


def past_of(place: RunPlace, marks: RunMarks) -> tuple[Past, int]:
    """Figures of earlier runs in the same folder, and how many windows of this very run are finished.

    All are, if the run's video exists.
    """
    seconds: list[float] = []
    sizes: list[tuple[int, int]] = []
    finished = 0
    for folder, manifest in _manifests(place.run.folder, marks):
        if manifest.settings.get(PACE) == marks.pace:
            # The first window of a run waits for weights to load.
            seconds += [window.stats.seconds for window in manifest.windows[1:]]
        if manifest.settings.get(PICTURE) == marks.picture:
            sizes += [(one.segment.bytes, one.frames) for one in manifest.windows if one.segment]
        is_this = is_of_prefix(folder, place) and manifest.settings.get(REQUEST) == marks.request
        if is_this and _is_usable(manifest, place.root):
            finished = max(finished, len(manifest.windows))
    return Past(tuple(seconds), median_bytes_per_frame(sizes)), finished


def _is_usable(manifest: Manifest, root: Path) -> bool:
    """Whether its windows are there still: a finished run has them in its video alone."""
    if manifest.final is None:
        return True
    try:
        video = root / manifest.final.name
        return video.is_dir() or video.stat().st_size == manifest.final.bytes
    except OSError:
        return False


def _manifests(folder: Path, marks: RunMarks) -> Iterator[tuple[Path, Manifest]]:
    """Those of the newest runs that can be read quickly, and this very run's, however long."""
    paths = [path for path in folder.glob(f"*{escape(SUFFIX)}/{NAME}") if path.is_file()]
    newest = sorted(paths, key=_written_s, reverse=True)[:MAX_MANIFESTS]
    for path in newest:
        manifest = _read(path, marks)
        if manifest is not None:
            yield path.parent, manifest


def _written_s(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _read(path: Path, marks: RunMarks) -> Manifest | None:
    """None where it is damaged, gone by now, or another run's and long."""
    with contextlib.suppress(RunStoreError, OSError):
        if path.stat().st_size <= MAX_BYTES or read_settings(path).get(REQUEST) == marks.request:
            return read_run(path.parent)
    return None
