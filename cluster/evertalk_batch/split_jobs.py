"""Jobs whose long sound is cut at pauses: each part a run of its own from the start picture, then joined."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from .batch_store import BatchStore
from .job_queue import Assignment, result_of
from .jobs import Job
from .join_videos import join_videos
from .results import Result
from .split_sound import Parts, split_sound
from .task import Ending, Report
from .worker_pool import BackgroundTask, BackgroundTaskEnded

SOUND = "audio"
MAX_PLANNED = 4
"""Jobs whose sounds are cut ahead of the workers."""

CUT, JOIN = "cut", "join"


@dataclass
class _Split:
    """A job in parts.

    Attributes:
        job: the job.
        reports: of the parts that have ended, by number.
        count: of parts.
        windows_begun, attempts: over all parts.
    """

    job: Job
    count: int
    reports: dict[int, Report] = field(default_factory=dict[int, Report])
    windows_begun: int = 0
    attempts: int = 0
    worker: str = ""

    @property
    def failure(self) -> Report | None:
        """A part that failed."""
        return next((one for one in self.reports.values() if one.ending is not Ending.DONE), None)


class SplitJobs:
    """Implements job_queue.JobQueue.

    Args:
        jobs: to be done.
        store: the batch's folder.
        part_s: how long parts become about; shorter jobs stay whole.
        run_in_background: has a function called somewhere.
    """

    def __init__(
        self,
        jobs: Iterator[Job],
        store: BatchStore,
        part_s: float,
        run_in_background: Callable[[BackgroundTask], None],
    ) -> None:
        self._jobs, self._store, self._part_s = jobs, store, part_s
        self._run_in_background = run_in_background
        self._next = next(jobs, None)
        self._ready: deque[Assignment] = deque()
        self._planned: dict[str, Job] = {}
        self._splits: dict[str, _Split] = {}

    def next(self) -> Assignment | None:
        """A part, or a whole job; None while sounds are being cut."""
        while self._next is not None and len(self._planned) + len(self._ready) < MAX_PLANNED:
            job, self._next = self._next, next(self._jobs, None)
            if SOUND in job.values:
                self._plan(job)
            else:
                self._ready.append(_whole(job))
        return self._ready.popleft() if self._ready else None

    def is_empty(self) -> bool:
        """Whether nothing is left to be given out or joined."""
        return self._next is None and not (self._ready or self._planned or self._splits)

    def ended(self, assignment: Assignment, report: Report, worker: str) -> Result | None:
        """Take a part's report; the last one has all joined."""
        split = self._splits.get(assignment.job.id)
        if split is None:
            return result_of(assignment, report, worker)
        split.reports[_number(assignment.key)] = report
        split.windows_begun += assignment.windows_begun
        split.attempts = max(split.attempts, assignment.attempts)
        split.worker = worker
        if split.failure is not None:
            dropped = [one for one in self._ready if one.job.id == split.job.id]
            self._ready = deque(one for one in self._ready if one.job.id != split.job.id)
            split.count -= len(dropped)
        if len(split.reports) < split.count:
            return None
        if split.failure is not None:
            return self._result(split, split.failure)
        parts = [self._store.root / str(split.reports[number].path) for number in range(split.count)]
        sound, joined = Path(str(split.job.values[SOUND])), self._joined(split.job)
        leftovers = (joined.parent / "parts", self._store.parts / split.job.id)
        join = partial(join_videos, parts, sound, joined, leftovers)
        self._run_in_background(BackgroundTask(f"{JOIN}/{split.job.id}", join))
        return None

    def background_task_ended(self, event: BackgroundTaskEnded) -> Result | None:
        """Take a cut sound's parts, or the joined video."""
        step, _, job_id = event.key.partition("/")
        if step == CUT:
            return self._cut(self._planned.pop(job_id), event)
        split = self._splits[job_id]
        if event.error is not None:
            error = f"its parts cannot be joined: {event.error}"
            return self._result(split, Report(Ending.FAILED, error=error))
        return self._result(split, self._done(split.job, split))

    def _plan(self, job: Job) -> None:
        self._planned[job.id] = job
        sound, folder = Path(str(job.values[SOUND])), self._store.parts / job.id
        cut = partial(split_sound, sound, folder, self._part_s, self._joined(job))
        self._run_in_background(BackgroundTask(f"{CUT}/{job.id}", cut))

    def _cut(self, job: Job, event: BackgroundTaskEnded) -> Result | None:
        if event.error is not None:
            return result_of(_whole(job), Report(Ending.FAILED, error=event.error), "")
        parts: Parts = event.value
        if parts.joined is not None:
            return result_of(_whole(job), self._done(job, None), "")
        if not parts.files:
            self._ready.append(_whole(job))
            return None
        self._splits[job.id] = _Split(job, len(parts.files))
        self._ready += [
            Assignment(job, f"{job.id}~{sound.stem}", f"{job.id}/parts/{sound.stem}", sound)
            for sound in parts.files
        ]
        return None

    def _done(self, job: Job, split: _Split | None) -> Report:
        path = self._joined(job).relative_to(self._store.root).as_posix()
        if split is None:
            return Report(Ending.DONE, path=path)
        reports = [split.reports[number] for number in range(split.count)]
        return Report(
            Ending.DONE,
            seconds=round(sum(one.seconds for one in reports), 3),
            path=path,
            windows=sum(one.windows or 0 for one in reports),
            backend=next((one.backend for one in reports if one.backend), None),
            peak_vram_bytes=_most(one.peak_vram_bytes for one in reports),
            peak_ram_bytes=_most(one.peak_ram_bytes for one in reports),
            warnings=tuple(dict.fromkeys(text for one in reports for text in one.warnings)),
        )

    def _result(self, split: _Split, report: Report) -> Result:
        del self._splits[split.job.id]
        result = result_of(_whole(split.job), report, split.worker)
        return replace(result, windows_begun=split.windows_begun, attempts=max(1, split.attempts))

    def _joined(self, job: Job) -> Path:
        return self._store.output / job.id / f"{job.id}.mp4"


def _most(peaks: Iterable[int | None]) -> int | None:
    return max((peak for peak in peaks if peak is not None), default=None)


def _whole(job: Job) -> Assignment:
    return Assignment(job, job.id, job.id)


def _number(key: str) -> int:
    return int(key.rpartition("~p")[2])
