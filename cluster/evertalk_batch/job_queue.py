"""Where assignments come from, and where their reports become results."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .jobs import Job, JobBook
from .results import DONE, FAILED, Result
from .task import Ending, Report, Task, uploads_of
from .worker_pool import BackgroundTaskEnded
from .workflow import Kind, Workflow


@dataclass(slots=True)
class Assignment:
    """A run to be done: a job, or a part of a split one.

    Attributes:
        job: the job.
        key: the job's id, with the number of the part.
        folder: the output folder.
        sound: the part's sound, instead of the job's.
        losses: workers that were lost with it.
        windows_begun, attempts: over all attempts; set when it has ended.
        not_before_s: on the monotonic clock.
    """

    job: Job
    key: str
    folder: str
    sound: Path | None = None
    losses: int = 0
    windows_begun: int = 0
    attempts: int = 1
    not_before_s: float = 0.0


class JobQueue(Protocol):
    """Gives assignments out and takes their reports."""

    def next(self) -> Assignment | None:
        """The next assignment; None if there is none now."""
        ...

    def is_empty(self) -> bool:
        """Whether none will come any more, as long as no assignment is out."""
        ...

    def ended(self, assignment: Assignment, report: Report, worker: str) -> Result | None:
        """Take a report (DONE or FAILED); the job's result, if it has one now."""
        ...

    def background_task_ended(self, event: BackgroundTaskEnded) -> Result | None:
        """Take what a background task gave; the job's result, if it has one now."""
        ...


class WholeJobs:
    """A run for each job."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self._next = next(jobs, None)

    def next(self) -> Assignment | None:
        """The next job's assignment."""
        job, self._next = self._next, next(self._jobs, None)
        return None if job is None else Assignment(job, job.id, job.id)

    def is_empty(self) -> bool:
        """Whether all jobs were given out."""
        return self._next is None

    def ended(self, assignment: Assignment, report: Report, worker: str) -> Result | None:
        """Every report is a result."""
        return result_of(assignment, report, worker)

    def background_task_ended(self, event: BackgroundTaskEnded) -> Result | None:
        """There are no background tasks."""
        raise AssertionError(event)


def result_of(assignment: Assignment, report: Report, worker: str) -> Result:
    """The result of a job that was one run."""
    job = assignment.job
    return Result(
        id=job.id,
        status=DONE if report.ending is Ending.DONE else FAILED,
        digest=job.digest,
        path=report.path,
        seconds=report.seconds,
        windows=report.windows,
        windows_begun=assignment.windows_begun,
        attempts=assignment.attempts,
        worker=worker,
        backend=report.backend,
        peak_vram_bytes=report.peak_vram_bytes,
        peak_ram_bytes=report.peak_ram_bytes,
        warnings=report.warnings,
        error=report.error,
        log=f"logs/{job.id}.log",
    )


def unfinished(book: JobBook, finished: set[str]) -> Iterator[Job]:
    """The jobs without a result. Ids of `finished` leave it as they are met."""
    for job in book.jobs():
        if job.id in finished:
            finished.discard(job.id)
        else:
            yield job


def task_of(workflow: Workflow, assignment: Assignment, attempt: int) -> Task:
    """What a worker is told to do."""
    values = dict(assignment.job.values)
    if assignment.sound is not None:
        values["audio"] = str(assignment.sound)
    nodes = workflow.filled(values, assignment.folder)
    files = {
        (one.node, one.field): str(value)
        for name, value in values.items()
        if (one := workflow.inputs[name]).kind is Kind.FILE
    }
    return Task(assignment.job.id, assignment.key, nodes, uploads_of(nodes, files, assignment.key), attempt)
