"""Starts a batch: checks everything, connects to Ray, drives."""

import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from .address import check_reachable
from .batch_store import BatchStore
from .driver import Driver, Rules, Tally
from .errors import ClusterError, JobFileError, WorkflowError
from .job_queue import JobQueue, WholeJobs, task_of, unfinished
from .jobs import Job, JobBook, check_jobs
from .options import Options, write_options
from .results import DONE, Result, read_results
from .server import ServerSettings
from .split_jobs import SOUND, SplitJobs
from .view import View
from .worker import WorkerSettings
from .worker_pool import WorkerPool
from .workflow import read_workflow


def run_batch(options: Options, view: View) -> Tally:
    """Do all jobs that have no result.

    Raises:
        BatchError: something is wrong that must be mended first.
    """
    workflow = read_workflow(Path(options.workflow))
    if options.split_s and SOUND not in workflow.inputs:
        raise WorkflowError("--split-s: the workflow has no single Load Audio node whose sound could be cut.")
    if options.split_s and (node := workflow.soundtrack_node()) is not None:
        raise WorkflowError(
            f"--split-s: node {node} of the workflow has a soundtrack, which is not cut along with the "
            "speech. Leave --split-s out, or disconnect the soundtrack and put it under the finished videos."
        )
    store = BatchStore(Path(options.store))
    known = {result.id for result in read_results(store.results)}
    book = check_jobs(Path(options.jobs), workflow, known)
    del known
    store.make()
    with store.driving():
        tally, finished = _standing(book, store)
        write_options(store, options, len(book))
        store.cancel.unlink(missing_ok=True)
        if tally.done + tally.failed == len(book):
            return tally
        check_reachable(options.address)
        from . import ray_worker_pool  # noqa: PLC0415  # seconds, which refusals and `status` need not wait for

        local_cpus = _local_cpus(options)
        with ray_worker_pool.ray_session(options.address, local_cpus, view.tell):
            share = ray_worker_pool.Share(0.0 if options.cpus else 1.0, options.cpus)
            count = _count(options, len(book) - len(finished), ray_worker_pool.resources())
            view.tell(f"{len(book)} jobs, {len(finished)} have a result; {count} workers start.")
            make_worker = partial(ray_worker_pool.server_worker, _settings(options, store))
            with closing(ray_worker_pool.RayWorkerPool(make_worker, count, share)) as worker_pool:
                job_queue = _job_queue(options, store, unfinished(book, finished), worker_pool)
                rules = Rules(options.max_losses, options.min_free_bytes, store.free_bytes)
                driver = Driver(store, job_queue, worker_pool, partial(task_of, workflow), view, rules)
                with _stopping(store, view.tell):
                    return driver.run(len(book), tally, count)


def _job_queue(options: Options, store: BatchStore, jobs: Iterator[Job], worker_pool: WorkerPool) -> JobQueue:
    if options.split_s:
        return SplitJobs(jobs, store, options.split_s, worker_pool.run_in_background)
    return WholeJobs(jobs)


def _standing(book: JobBook, store: BatchStore) -> tuple[Tally, set[str]]:
    """What has a result already.

    Raises:
        JobFileError: a result is of a job with this id and other values.
    """
    results = {result.id: (result.status, result.digest) for result in read_results(store.results)}
    tally, finished, problems = Tally(), set[str](), list[str]()
    for job in book.jobs() if results else ():
        status, digest = results.get(job.id, ("", ""))
        if not status:
            continue
        finished.add(job.id)
        tally.done += status == DONE
        tally.failed += status != DONE
        if digest != job.digest:
            problems.append(
                f"{job.id} has a result already, of other values or another workflow; give it another id, or "
                "the batch another --store"
            )
    if problems:
        raise JobFileError(str(book.path), problems)
    return tally, finished


def _count(options: Options, jobs_left: int, have: Mapping[str, float]) -> int:
    """How many workers: as asked, else as the resources allow, never more than jobs.

    Raises:
        ClusterError: the cluster has not what one worker needs.
    """
    fit = int(have.get("CPU", 0) // options.cpus) if options.cpus else int(have.get("GPU", 0))
    if fit == 0 and options.address is None:
        need = (
            f"{options.cpus:g} CPUs"
            if options.cpus
            else "a GPU; on CPUs name how many a worker takes: --cpus N"
        )
        raise ClusterError(f"This machine has not what a worker needs: {need}.")
    if options.workers == 0 and fit == 0:
        raise ClusterError("The cluster has no free GPU to count by; say how many workers by --workers N.")
    return max(1, min(options.workers or fit, jobs_left))


def _local_cpus(options: Options) -> int | None:
    """Told to a Ray of this machine, so that it does not refuse what was asked for."""
    return max(1, round(options.cpus * options.workers)) if options.cpus and options.workers else None


def _settings(options: Options, store: BatchStore) -> WorkerSettings:
    arguments = ("--cpu", *options.server_arguments) if options.cpus else options.server_arguments
    server = ServerSettings(
        Path(options.comfyui),
        options.python,
        Path(options.base) if options.base else None,
        store.output,
        arguments,
    )
    return WorkerSettings(server, store, options.silence_s, options.min_free_bytes)


@contextmanager
def _stopping(store: BatchStore, say: Callable[[str], None]) -> Generator[None]:
    """Ctrl-C and SIGTERM cancel the batch in order; a second one ends at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, before[number])
        store.cancel.touch()
        say("Stopping; finished windows are kept. Once more ends at once.")

    before = {int(number): signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summary(results: Iterator[Result]) -> str:
    """The end of a batch in a line."""
    done = failed = windows = begun = attempts = 0
    for result in results:
        done += result.status == DONE
        failed += result.status != DONE
        windows += result.windows or 0
        begun += result.windows_begun
        attempts += result.attempts
    return (
        f"{done} done, {failed} failed; {windows} windows in the videos, {begun} begun, "
        f"in {attempts} attempts"
    )
