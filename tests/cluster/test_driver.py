"""The driver with workers that follow a script; no Ray, no server."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from evertalk_batch.attempts import Attempt
from evertalk_batch.batch_store import BatchStore
from evertalk_batch.driver import Driver, Rules, Tally
from evertalk_batch.errors import ClusterError
from evertalk_batch.job_queue import WholeJobs
from evertalk_batch.jobs import Job
from evertalk_batch.results import read_results
from evertalk_batch.task import Ending, Report, Task
from evertalk_batch.view import Snapshot
from evertalk_batch.worker_pool import BackgroundTask, Ended, Event, Lost, NotStarted, Ready

DONE = Report(Ending.DONE, 2.0, "output/x.mp4", windows=4)
Answer = Report | None
"""What becomes of a task; None: the worker is lost."""


class Script:
    """A worker pool that answers each task as it is told; what it is not told of is done."""

    def __init__(self, workers: int, answers: Mapping[str, list[Answer]], store: BatchStore) -> None:
        self.events: deque[Event] = deque(Ready(number, f"worker {number + 1}") for number in range(workers))
        self._answers = {key: deque(listed) for key, listed in answers.items()}
        self._attempts = store.attempts
        self.sent: list[tuple[str, int]] = []
        self.most_out = 0
        self._out = 0

    def send(self, worker: int, task: Task) -> None:
        self.sent.append((task.key, task.attempt))
        self._out += 1
        self.most_out = max(self.most_out, self._out)
        Attempt(task.key, task.attempt, f"worker {worker + 1}", 0.0, 4, 4, begun=4).write(self._attempts)
        listed = self._answers.get(task.key)
        answer = listed.popleft() if listed else DONE
        if answer is None:
            self.events += [Lost(worker), Ready(worker, f"worker {worker + 1}")]
        else:
            self.events.append(Ended(worker, answer))

    def run_in_background(self, background_task: BackgroundTask) -> None:
        raise AssertionError(background_task)

    def wait(self, timeout_s: float) -> list[Event]:
        if not self.events:
            time.sleep(min(timeout_s, 0.01))
            return []
        event = self.events.popleft()
        self._out -= isinstance(event, Ended | Lost)
        return [event]


class Notes:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.shown: list[Snapshot] = []

    def tell(self, text: str) -> None:
        self.told.append(text)

    def show(self, snapshot: Snapshot) -> None:
        self.shown.append(snapshot)


@pytest.fixture
def store(tmp_path: Path) -> BatchStore:
    store = BatchStore(tmp_path)
    store.make()
    return store


def jobs(count: int) -> Iterator[Job]:
    return (Job(f"job-{number}", {}, "d") for number in range(count))


def drive(
    store: BatchStore,
    count: int,
    worker_pool: Script,
    notes: Notes,
    free_bytes: Callable[[], int] = lambda: 100,
) -> Tally:
    def task(assignment: object, attempt: int) -> Task:
        key = getattr(assignment, "key", "")
        return Task(key, key, {}, (), attempt)

    rules = Rules(3, 50, free_bytes, full_disk_s=0.05, taken_s=0.05)
    driver = Driver(store, WholeJobs(jobs(count)), worker_pool, task, notes, rules)
    return driver.run(count, Tally(), 2)


def test_every_job_gets_one_result_and_no_more_are_out_than_workers(store: BatchStore) -> None:
    worker_pool, notes = Script(2, {}, store), Notes()
    tally = drive(store, 25, worker_pool, notes)
    assert (tally.done, tally.failed, tally.stopped) == (25, 0, False)
    assert sorted(result.id for result in read_results(store.results)) == sorted(job.id for job in jobs(25))
    assert worker_pool.most_out == 2
    assert list(store.attempts.iterdir()) == []
    assert notes.shown[-1].done == 25


def test_lost_worker_s_job_is_done_by_the_next_and_its_windows_are_counted(store: BatchStore) -> None:
    worker_pool, notes = Script(2, {"job-1": [None, DONE]}, store), Notes()
    drive(store, 3, worker_pool, notes)
    result = next(one for one in read_results(store.results) if one.id == "job-1")
    assert (result.status, result.attempts, result.windows, result.windows_begun) == ("done", 2, 4, 8)
    assert ("job-1", 2) in worker_pool.sent
    assert any("was lost with job-1" in text for text in notes.told)


def test_job_that_takes_down_every_worker_fails_and_the_others_are_done(store: BatchStore) -> None:
    worker_pool = Script(2, {"job-0": [None, None, None, None]}, store)
    tally = drive(store, 4, worker_pool, Notes())
    assert (tally.done, tally.failed) == (3, 1)
    result = next(one for one in read_results(store.results) if one.status == "failed")
    assert result.error == "3 workers were lost with this job; the last: its process ended"


def test_failed_job_is_a_result_and_is_told(store: BatchStore) -> None:
    worker_pool, notes = Script(2, {"job-0": [Report(Ending.FAILED, error="no face")]}, store), Notes()
    assert drive(store, 2, worker_pool, notes).failed == 1
    assert "job-0 failed: no face" in notes.told


def test_lost_server_is_no_failure(store: BatchStore) -> None:
    worker_pool = Script(2, {"job-0": [Report(Ending.SERVER_LOST, error="closed"), DONE]}, store)
    assert drive(store, 2, worker_pool, Notes()).failed == 0


def test_full_disk_pauses_and_the_batch_goes_on_when_there_is_room(store: BatchStore) -> None:
    free = iter([10, 10, 10])
    worker_pool, notes = Script(2, {}, store), Notes()
    tally = drive(store, 2, worker_pool, notes, lambda: next(free, 100))
    assert tally.done == 2
    assert len([text for text in notes.told if text.startswith("Paused: the disk of")]) == 1
    assert "The batch goes on." in notes.told


def test_job_that_finds_the_disk_full_is_done_again(store: BatchStore) -> None:
    full = Report(Ending.DISK_FULL, error="the disk is full")
    worker_pool, notes = Script(2, {"job-0": [full, DONE]}, store), Notes()
    tally = drive(store, 2, worker_pool, notes)
    assert (tally.done, tally.failed) == (2, 0)
    assert any(text.startswith("Paused: ") for text in notes.told)


def test_run_that_another_still_holds_is_tried_later(store: BatchStore) -> None:
    worker_pool = Script(2, {"job-0": [Report(Ending.RUN_TAKEN), DONE]}, store)
    assert drive(store, 3, worker_pool, Notes()).done == 3


def test_cancelled_batch_hands_out_nothing_more(store: BatchStore) -> None:
    store.cancel.touch()
    worker_pool = Script(2, {}, store)
    tally = drive(store, 5, worker_pool, Notes())
    assert tally.stopped
    assert worker_pool.sent == []


def test_batch_without_any_worker_ends_with_the_reason(store: BatchStore) -> None:
    worker_pool = Script(0, {}, store)
    worker_pool.events += [NotStarted(worker, "no main.py", given_up=True) for worker in (0, 1)]
    with pytest.raises(ClusterError, match=r"No worker is left\. no main\.py"):
        drive(store, 1, worker_pool, Notes())
