"""A run's finished windows on the disk: kept as they are made, found again when the run is queued again.

One folder a run, `<prefix>_r<start of the run's fingerprint>.run`:

    manifest.json           names whole files alone, see manifest.py
    w000123.json            names a window of a long run, until the manifest does, see window_records.py
    w000000.mp4, ...        each finished window's part of the video, playable
    c000003.safetensors     the frames that the next window begins from, lossless, and which heads of
                            attention are sparse from there on; of a long run not each window's, since an
                            hour's would fill the disk, see overlap_file.py
    first_clip_*.safetensors  the stills that windows end on, where a first clip gives them
    lock                    who writes, see lock.py

A window is first written whole, then named. So whenever the machine dies, the manifest names the windows that
are on the disk, and the run continues after them: every window has noise of its own, nothing else is random,
and the video is the same to the byte as that of a run that was never stopped.

When the finished video exists and was read back, the segments are deleted: an hour would be on the disk
twice. The manifest stays with the video's digest, so that the same run, queued again, finds the video; so do
the motion frames, so that a run with a longer sound, or with another seed for one window, can continue
after its windows. The folder may be deleted by hand.

Shape letters: F frames, H height, W width.
"""

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import torch

from ..common.atomic_file import replace_with, whole_file
from ..common.background_task import Background
from ..common.errors import InputError, RunStoreError
from ..media.segment import Piece
from ..windows.plan import Window
from .final_video import FINAL_STEM, INCOMPLETE, make_video, put_in_place
from .first_clip_file import FirstClipFile, find_first_clip, keep_first_clip
from .folder import DiskError, RunPlace, make_folder, record_of, run_folder, store_error
from .identity import Resume, RunIdentity, VideoForm
from .lock import RunLock
from .manifest import Manifest, WindowRecord, WindowStats, carry_name, check_window_count, segment_name
from .overlap_file import KEPT_LAST, WindowOverlap, write_overlap
from .resume import clear_away, open_run
from .window_records import USUAL_RULES, FinishedWindows, StoreRules

LOG = logging.getLogger("evertalk")


class RunStore:
    """Context manager: the store of one run. If the block ends with an error, what there is becomes a video.

    Attributes:
        folder: the run's folder.
        first: the first window that is not finished; the number of windows when all are.
        carry: what window `first` continues from; let go once that window has been added.
        final: the finished video, if it exists.
        incomplete: the playable file of a run that was stopped.
        review: how many windows somebody looks at before the run goes on, any of which may be made again.

    Args:
        place: where its files go.
        identity: which run it is.
        form: what the video is like.
        resume: what to do with finished windows.
        say: shows a sentence to the user.
        waiting: see RunLock.
        written: called on the writer's thread with each window that it wrote, and with the path of its
            segment, if it has one.
        rules: see StoreRules.
    """

    def __init__(
        self,
        place: RunPlace,
        identity: RunIdentity,
        form: VideoForm,
        resume: Resume = Resume.AUTO,
        *,
        say: Callable[[str], None] = LOG.info,
        waiting: Callable[[float], None] | None = None,
        written: Callable[[WindowRecord, Path | None], None] | None = None,
        rules: StoreRules = USUAL_RULES,
    ) -> None:
        check_window_count(len(identity.windows))
        self.folder = run_folder(place, identity.fingerprint)
        self.first = 0
        self.carry = WindowOverlap()
        self.final: Path | None = None
        self.incomplete: Path | None = None
        self._place, self._identity, self._form, self._resume = place, identity, form, resume
        self._say, self._waiting, self._written, self._rules = say, waiting, written, rules
        self.review = 0
        manifest = Manifest(identity.fingerprint, identity.settings, len(identity.windows))
        self._done = FinishedWindows(self.folder, manifest, rules)
        self._stack = ExitStack()

    @property
    def frames(self) -> int:
        """Video frames of the windows that are finished and written."""
        return sum(window.frames for window in self._done.all)

    @property
    def stats(self) -> tuple[WindowStats, ...]:
        """Figures of the windows that are finished and written."""
        return tuple(window.stats for window in self._done.all)

    def first_clip(self, wanted: tuple[int, ...]) -> FirstClipFile | None:
        """The stills of the run's first clip, if they are kept and not to be made again: these frames of it.

        Raises:
            RunStoreError: the folder cannot be used.
        """
        if self._resume is Resume.RESTART:
            return None
        size = (self._form.height_px, self._form.width_px)
        try:
            return find_first_clip(self._place, self.folder, self._identity.clip_key, wanted, size)
        except DiskError as error:
            raise store_error(self.folder, error) from error

    def keep_first_clip(self, wanted: tuple[int, ...], clip_FHWC: torch.Tensor) -> FirstClipFile:
        """Write these frames of the run's first clip (F, H, W, 3), 0..1.

        Raises:
            RunStoreError: they could not be written.
        """
        try:
            self._lock.check()
            return keep_first_clip(self.folder, self._identity.clip_key, wanted, clip_FHWC)
        except DiskError as error:
            raise store_error(self.folder, error) from error

    def tell_finished(self) -> None:
        """Tell the caller's `written` of the windows that an earlier run finished."""
        for record in self._done.all[: self.first]:
            self._tell(record)

    def __enter__(self) -> "RunStore":
        make_folder(self.folder)
        with self._stack as stack:
            try:
                self._lock = stack.enter_context(
                    RunLock(self.folder, self._waiting, stale_s=self._rules.stale_s)
                )
                opened = open_run(
                    self.folder, self._place, self._identity, self._form, self._resume, self._say
                )
            except DiskError as error:
                raise store_error(self.folder, error) from error
            self._done = FinishedWindows(self.folder, opened.manifest, self._rules)
            self.final = opened.final
            self.carry = opened.carry
            self.first = len(self._done)
            self._background = stack.enter_context(Background("evertalk-writer"))
            self._stack = stack.pop_all()
        return self

    def add(
        self,
        window: Window,
        frames_FHWC: torch.Tensor,
        carry: WindowOverlap,
        measure: Callable[[], WindowStats],
    ) -> None:
        """Hand over the next window; it is measured and written in the background, after the one before.

        Args:
            window: which one.
            frames_FHWC: the frames that the video gets, 0..1; none if all of them wait for the next window.
            carry: what the next window continues from.
            measure: gives its figures, on the writer's thread.

        Raises:
            RunStoreError: the window before could not be written.
        """
        self.carry = WindowOverlap()
        self._background.submit(lambda: self._write(window, frames_FHWC, carry, measure()))

    def wait(self) -> None:
        """Wait until the windows that were handed over are written.

        Raises:
            RunStoreError: the last one could not be.
        """
        self._background.wait()

    def finish(self) -> Path:
        """The finished video, made of all windows, which are finished. Its segments are deleted.

        Raises:
            RunStoreError: the last window or the video could not be written.
        """
        self._background.wait()
        if self.final is not None:
            return self.final
        assert len(self._done) == len(self._identity.windows), "all windows are finished"
        try:
            self._lock.check()
            made = self.folder / f"{FINAL_STEM}{self._form.output.suffix}"
            make_video(made, self._pieces(), self._form, complete=True)
            self.final = put_in_place(made, self._place, self._done.name_final)
            clear_away(self.folder, self._done.manifest)
        except DiskError as error:
            raise store_error(self.folder, error) from error
        return self.final

    def keep_finished(self) -> Path:
        """A playable video of the finished windows, its sound cut to them; replaces an earlier, shorter one.

        Raises:
            RunStoreError: it could not be written.
            InputError: no window has finished.
        """
        self._background.wait()
        if not self.frames:
            raise InputError(
                f"resume: only_finished was chosen, but no window of this run has finished in {self.folder}. "
                "Choose auto"
            )
        if self.final is not None:
            return self.final
        path = self.folder.with_name(f"{self.folder.stem}_{INCOMPLETE}{self._form.output.suffix}")
        # Made in the run's folder, where the next run finds what a crash leaves of it.
        made = self.folder / f"{INCOMPLETE}{self._form.output.suffix}"
        try:
            make_video(made, self._pieces(), self._form, complete=False)
            replace_with(made, path)
        except DiskError as error:
            raise store_error(self.folder, error) from error
        self.incomplete = path
        return path

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stack:
            if exc_type is not None:
                self._rescue()

    def _rescue(self) -> None:
        # The error that ended the run goes on to the caller; those in here must not hide it.
        try:
            self._background.wait()
        except Exception as error:  # noqa: BLE001  a window's frames may be on a GPU that has failed
            LOG.error("%s", error)  # noqa: TRY400
        done, planned = len(self._done), len(self._identity.windows)
        if not self.frames or self.final is not None:
            return
        try:
            path = self.keep_finished()
        except RunStoreError as error:
            LOG.error("The unfinished video could not be made: %s", error)  # noqa: TRY400
        else:
            self._say(f"stopped: {done} of {planned} windows are finished and kept; they play in {path}")

    def _write(
        self,
        window: Window,
        frames_FHWC: torch.Tensor,
        carry: WindowOverlap,
        stats: WindowStats,
    ) -> None:
        index = window.index
        assert index == len(self._done), "windows are finished in order"
        output = self._form.output
        held = 0 if carry.held_FHWC is None else len(carry.held_FHWC)
        shown = self._form.shown(window.end - held - len(frames_FHWC), frames_FHWC)
        segment = self.folder / segment_name(index, output.segment_suffix)
        following = self.folder / carry_name(index)
        try:
            self._lock.check()
            if len(shown):
                with whole_file(segment) as temporary:
                    output.write_segment(temporary, shown, self._form.settings)
            if not carry.is_empty:
                with whole_file(following) as temporary:
                    write_overlap(temporary, carry)
            record = WindowRecord(
                index=index,
                frames=len(shown),
                key=self._identity.keys[index],
                segment=record_of(segment) if len(shown) else None,
                carries=not carry.is_empty,
                carry=None if carry.is_empty else record_of(following),
                stats=_measured(stats),
            )
            self._done.add(record, max(KEPT_LAST, self.review + 1))
        except DiskError as error:
            raise store_error(self.folder, error) from error
        LOG.info("window %d of %d written", index + 1, len(self._identity.windows))
        self._tell(record)

    def _tell(self, record: WindowRecord) -> None:
        if self._written is not None:
            self._written(record, self.folder / record.segment.name if record.segment else None)

    def _pieces(self) -> Sequence[Piece]:
        return [
            Piece(self.folder / window.segment.name, 0, window.frames)
            for window in self._done.all
            if window.segment is not None
        ]


def _measured(stats: WindowStats) -> WindowStats:
    """The figures that are numbers, as a manifest needs them."""
    drift, seam = (
        figure if figure is not None and math.isfinite(figure) else None
        for figure in (stats.drift, stats.seam)
    )
    return replace(stats, drift=drift, seam=seam)
