"""A batch whose workers only sleep: measures the driver and Ray, not video. Prints a line of JSON.

`python simulated_batch.py --workers 4 --jobs 100 --seconds 0.5`; what a worker does is simulated, all else is
real: Ray, its actors, the job file, the results, the driver.
"""

import argparse
import json
import os
import random
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
from evertalk_batch.batch_store import BatchStore
from evertalk_batch.driver import Driver, Rules, Tally
from evertalk_batch.job_queue import WholeJobs, task_of, unfinished
from evertalk_batch.jobs import check_jobs
from evertalk_batch.ray_worker_pool import RayWorkerPool, Share, ray_session
from evertalk_batch.results import read_results
from evertalk_batch.task import Ending, Report, Task
from evertalk_batch.view import Snapshot
from evertalk_batch.worker_pool import BackgroundTask, Event
from evertalk_batch.workflow import read_workflow

NODES = {"1": {"class_type": "Sleep", "inputs": {"seed": 0, "filename_prefix": "x"}}}


class SleepingWorker:
    """Takes a fixed time for each task; dies at some of them, as a worker that is killed."""

    def __init__(self, seconds: float, dies_at: frozenset[str], name: str) -> None:
        self._seconds, self._dies_at, self._name = seconds, dies_at, name

    def ready(self) -> str:
        return self._name

    def run(self, task: Task) -> Report:
        if task.key in self._dies_at and task.attempt == 1:
            os._exit(1)
        time.sleep(self._seconds)
        return Report(Ending.DONE, self._seconds, f"output/{task.key}.mp4", windows=1)

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class SleepingWorkers:
    """Makes them."""

    seconds: float
    dies_at: frozenset[str]

    def __call__(self, number: int, node: str) -> SleepingWorker:
        return SleepingWorker(self.seconds, self.dies_at, f"worker {number + 1} on {node}")


class Gathered:
    """A worker pool of which everybody is there before the clock starts."""

    def __init__(self, worker_pool: RayWorkerPool, count: int) -> None:
        self._worker_pool = worker_pool
        self._first: list[Event] = []
        while len(self._first) < count:
            self._first += worker_pool.wait(1.0)

    def send(self, worker: int, task: Task) -> None:
        self._worker_pool.send(worker, task)

    def run_in_background(self, background_task: BackgroundTask) -> None:
        self._worker_pool.run_in_background(background_task)

    def wait(self, timeout_s: float) -> list[Event]:
        first, self._first = self._first, []
        return first or self._worker_pool.wait(timeout_s)


@dataclass
class Meter:
    """Notes the driver's memory as the batch goes on."""

    every: int
    told: list[str] = field(default_factory=list[str])
    rss_mb: dict[int, float] = field(default_factory=dict[int, float])

    def tell(self, text: str) -> None:
        self.told.append(text)

    def show(self, snapshot: Snapshot) -> None:
        step = snapshot.done // self.every * self.every
        if step not in self.rss_mb:
            self.rss_mb[step] = round(psutil.Process().memory_info().rss / 1e6, 1)


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Run a batch in a folder."""
    (folder / "w.json").write_text(json.dumps(NODES))
    ids = [f"job-{number:06}" for number in range(chosen.jobs)]
    dies_at = frozenset(random.Random(1).sample(ids, chosen.deaths))
    with (folder / "jobs.jsonl").open("w") as file:
        file.writelines(json.dumps({"id": one, "seed": number}) + "\n" for number, one in enumerate(ids))
    del ids
    workflow = read_workflow(folder / "w.json")
    book = check_jobs(folder / "jobs.jsonl", workflow)
    store = BatchStore(folder / "store")
    store.make()
    meter = Meter(max(1, chosen.jobs // 10))
    make = SleepingWorkers(chosen.seconds, dies_at)
    with (
        ray_session(None, chosen.workers, meter.tell),
        closing(RayWorkerPool(make, chosen.workers, Share(0.0, 0.0))) as worker_pool,
    ):
        job_queue = WholeJobs(unfinished(book, set()))
        team = Gathered(worker_pool, chosen.workers)
        driver = Driver(store, job_queue, team, partial(task_of, workflow), meter, Rules(5, 0, lambda: 1))
        begun_s = time.monotonic()
        tally = driver.run(len(book), Tally(), chosen.workers)
        seconds = time.monotonic() - begun_s
    results = [result.id for result in read_results(store.results)]
    return {
        "seconds": round(seconds, 2),
        "done": tally.done,
        "results": len(results),
        "different": len(set(results)),
        "told": meter.told[:20],
        "rss_mb": meter.rss_mb,
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--deaths", type=int, default=0)
    with tempfile.TemporaryDirectory(prefix="simulated-") as folder:
        print(json.dumps(measure(parser.parse_args(), Path(folder))))


if __name__ == "__main__":
    main()
