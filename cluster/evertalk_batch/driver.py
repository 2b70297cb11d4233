"""Hands assignments to workers until every job has its result."""

import errno
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .attempts import attempts_of, forget_attempts, read_attempts
from .batch_store import BatchStore
from .errors import ClusterError
from .eta import Eta
from .job_queue import Assignment, JobQueue
from .results import DONE, FAILED, Result, ResultLog
from .task import Ending, Report, Task
from .view import Snapshot, View
from .worker_pool import BackgroundTaskEnded, Ended, Event, Lost, NotStarted, Ready, WorkerPool

POLL_S = 0.5
FULL_DISK_S = 20.0
"""A quota shows in no number of free bytes, so what a job found is believed for so long."""

TAKEN_S = 20.0


@dataclass(frozen=True, slots=True)
class Rules:
    """How a batch is driven.

    Attributes:
        max_losses: workers that a job may take down before it counts as failed.
        min_free_bytes: below it no job is begun.
        free_bytes: tells how much is free on the batch's disk.
        full_disk_s: how long it pauses at least when a job found the disk full.
        taken_s: after which a job is tried again whose run another worker still holds.
    """

    max_losses: int
    min_free_bytes: int
    free_bytes: Callable[[], int]
    full_disk_s: float = FULL_DISK_S
    taken_s: float = TAKEN_S


@dataclass(slots=True)
class Tally:
    """Jobs that have a result, and whether the batch was stopped."""

    done: int = 0
    failed: int = 0
    stopped: bool = False


class Driver:
    """Drives a batch.

    Args:
        store: the batch's folder.
        job_queue: gives assignments.
        worker_pool: executes them.
        make_task: what a worker is told, of an assignment and the attempt's number.
        view: shows it.
        rules: see Rules.
    """

    def __init__(
        self,
        store: BatchStore,
        job_queue: JobQueue,
        worker_pool: WorkerPool,
        make_task: Callable[[Assignment, int], Task],
        view: View,
        rules: Rules,
    ) -> None:
        self._store, self._job_queue, self._worker_pool = store, job_queue, worker_pool
        self._make_task, self._view, self._rules = make_task, view, rules
        self._results = ResultLog(store.results)
        self._idle: deque[int] = deque()
        self._names: dict[int, str] = {}
        self._given_up: dict[int, str] = {}
        self._running: dict[int, Assignment] = {}
        self._again: deque[Assignment] = deque()
        self._fresh: list[Result] = []
        self._eta = Eta()
        self._hold_until_s = 0.0
        self._is_paused = False

    def run(self, total: int, tally: Tally, workers: int) -> Tally:
        """Until all jobs have a result or the batch is cancelled.

        Args:
            total: jobs of the batch.
            tally: of the results that stand already.
            workers: how many the pool has.

        Raises:
            ClusterError: no worker starts.
        """
        shown_s = 0.0
        while True:
            tally.stopped = tally.stopped or self._store.cancel.exists()
            if not tally.stopped:
                self._hand_out()
            if not self._running and (tally.stopped or (not self._again and self._job_queue.is_empty())):
                break
            for event in self._worker_pool.wait(POLL_S):
                self._take(event)
            self._write_results(tally)
            if len(self._given_up) == workers:
                raise ClusterError(f"No worker is left. {next(iter(self._given_up.values()))}")
            if time.monotonic() - shown_s > POLL_S:
                shown_s = time.monotonic()
                self._show(total, tally)
        self._show(total, tally)
        return tally

    def _hand_out(self) -> None:
        while self._idle and not self._is_held():
            assignment = self._next()
            if assignment is None:
                return
            worker = self._idle.popleft()
            before = attempts_of(self._store.attempts, assignment.key)
            number = max([assignment.losses, *(one.number for one in before)]) + 1
            self._running[worker] = assignment
            self._worker_pool.send(worker, self._make_task(assignment, number))

    def _next(self) -> Assignment | None:
        for _ in range(len(self._again)):
            assignment = self._again.popleft()
            if assignment.not_before_s <= time.monotonic():
                return assignment
            self._again.append(assignment)
        return self._job_queue.next()

    def _is_held(self) -> bool:
        """Whether no job may begin now, because the disk is full; tells when that changes."""
        free = self._rules.free_bytes()
        held = free < self._rules.min_free_bytes or time.monotonic() < self._hold_until_s
        if held and not self._is_paused:
            self._view.tell(
                f"Paused: the disk of {self._store.root} is full ({free / 1e6:.0f} MB free, "
                f"{self._rules.min_free_bytes / 1e6:.0f} MB wanted). Make room; the batch goes on by itself."
            )
        elif self._is_paused and not held:
            self._view.tell("The batch goes on.")
        self._is_paused = held
        return held

    def _take(self, event: Event) -> None:
        match event:
            case Ready(worker, name):
                self._names[worker] = name
                self._idle.append(worker)
            case NotStarted(worker, reason, given_up):
                self._view.tell(f"{self._name(worker)}: {reason}")
                if given_up:
                    self._given_up[worker] = reason
            case Lost(worker):
                self._lost(worker)
            case Ended(worker, report):
                self._idle.append(worker)
                self._ended(worker, self._running.pop(worker), report)
            case BackgroundTaskEnded():
                self._add(self._job_queue.background_task_ended(event))

    def _lost(self, worker: int) -> None:
        assignment = self._running.pop(worker, None)
        if worker in self._idle:
            self._idle.remove(worker)
        if assignment is None:
            self._view.tell(f"{self._name(worker)} was lost; it is started again.")
            return
        self._view.tell(
            f"{self._name(worker)} was lost with {assignment.key}; another one goes on with that."
        )
        self._loss(worker, assignment, Report(Ending.FAILED))

    def _ended(self, worker: int, assignment: Assignment, report: Report) -> None:
        match report.ending:
            case Ending.DONE | Ending.FAILED:
                self._finish(worker, assignment, report)
            case Ending.SERVER_LOST:
                self._view.tell(
                    f"{self._name(worker)}: its server was lost with {assignment.key}: {report.error}"
                )
                self._loss(worker, assignment, report)
            case Ending.DISK_FULL:
                self._view.tell(f"{assignment.key}: {report.error}")
                self._hold_until_s = time.monotonic() + self._rules.full_disk_s
                self._again.appendleft(assignment)
            case Ending.RUN_TAKEN:
                self._view.tell(f"{assignment.key}: another worker still holds its run; it is tried again.")
                assignment.not_before_s = time.monotonic() + self._rules.taken_s
                self._again.append(assignment)
            case Ending.STOPPED:
                # Cancelled, or interrupted by hand in the server: either way the job has no result.
                assignment.not_before_s = time.monotonic() + POLL_S
                self._again.append(assignment)

    def _loss(self, worker: int, assignment: Assignment, report: Report) -> None:
        assignment.losses += 1
        if assignment.losses < self._rules.max_losses:
            self._again.appendleft(assignment)
            return
        last = report.error or "its process ended"
        error = f"{assignment.losses} workers were lost with this job; the last: {last}"
        self._finish(worker, assignment, Report(Ending.FAILED, report.seconds, error=error))

    def _finish(self, worker: int, assignment: Assignment, report: Report) -> None:
        attempts = attempts_of(self._store.attempts, assignment.key)
        assignment.windows_begun = sum(one.begun for one in attempts)
        assignment.attempts = max([assignment.losses, *(one.number for one in attempts), 1])
        last = attempts[-1].begun if attempts else 0
        self._eta.note(report.seconds, last)
        self._add(self._job_queue.ended(assignment, report, self._name(worker)))
        if attempts:
            forget_attempts(self._store.attempts, assignment.key)

    def _add(self, result: Result | None) -> None:
        if result is not None:
            self._fresh.append(result)

    def _write_results(self, tally: Tally) -> None:
        if not self._fresh:
            return
        told = False
        while True:
            try:
                self._results.append(self._fresh)
                break
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                if not told:
                    self._view.tell(f"Paused: results.jsonl cannot be written: {error}. Make room.")
                told = True
                time.sleep(POLL_S)
        tally.done += sum(result.status == DONE for result in self._fresh)
        for result in self._fresh:
            if result.status == FAILED:
                tally.failed += 1
                self._view.tell(f"{result.id} failed: {result.error}")
        self._fresh.clear()

    def _name(self, worker: int) -> str:
        return self._names.get(worker, f"worker {worker + 1}")

    def _show(self, total: int, tally: Tally) -> None:
        keys = {assignment.key for assignment in self._running.values()}
        newest = {
            one.key: one for one in sorted(read_attempts(self._store.attempts), key=lambda one: one.number)
        }
        running = sorted((newest[key] for key in keys & newest.keys()), key=lambda one: one.worker)
        finished = sum(max(0, one.window - 1) for one in running)
        left_s = self._eta.left_s(total - tally.done - tally.failed, len(self._names), finished)
        self._view.show(Snapshot(total, tally.done, tally.failed, running, left_s))
