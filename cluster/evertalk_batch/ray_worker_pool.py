"""The worker pool on Ray: one actor a worker, placed by its GPU or CPUs, restarted by Ray."""

import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from .address import REACH_S, unreachable
from .errors import ClusterError
from .task import Report, Task
from .worker import Worker, WorkerSettings
from .worker_pool import BackgroundTask, BackgroundTaskEnded, Ended, Event, Lost, NotStarted, Ready

# Before ray is imported: nothing is sent anywhere, and the servers, which are the work, have no nice of 15.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

CONNECT_S = 18.0
LOCAL_START_S = 180.0
OBJECT_STORE_BYTES = 80_000_000
"""Tasks and reports are small; Ray's own default takes a third of the memory."""

MAX_START_FAILURES = 3
EXIT_UNREACHABLE = 2

MakeWorker: TypeAlias = Callable[[int, str], Any]
"""Makes what an actor holds, of its number and the name of its node: something like worker.Worker."""


@dataclass(frozen=True, slots=True)
class Share:
    """What of a node a worker takes."""

    num_gpus: float
    num_cpus: float


@contextmanager
def ray_session(address: str | None, local_cpus: int | None, say: Callable[[str], None]) -> Generator[None]:
    """Be connected to Ray.

    Args:
        address: `auto`, `HOST:PORT` or `ray://HOST:PORT`; None starts Ray on this machine, for this batch.
        local_cpus: how many CPUs Ray may count with when it is started here.
        say: shows a sentence that must be seen even if the process ends at once.

    Raises:
        ClusterError: it cannot be reached.
    """
    patience_s = LOCAL_START_S if address is None else CONNECT_S - REACH_S
    with _deadline(patience_s, lambda: say(unreachable(address, f"no answer within {patience_s:.0f} s"))):
        try:
            if address is None:
                ray.init(
                    address="local",
                    num_cpus=local_cpus,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            else:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, RayError) as error:
            raise ClusterError(unreachable(address, str(error).splitlines()[0])) from error
    try:
        yield
    finally:
        ray.shutdown()


def resources() -> dict[str, float]:
    """What the cluster has, such as {"CPU": 8, "GPU": 1}."""
    return dict(ray.cluster_resources())


class RayWorkerPool:
    """Implements worker_pool.WorkerPool.

    Args:
        make: makes what the actors hold; it is sent to them.
        count: workers.
        share: what each takes.
    """

    def __init__(self, make: MakeWorker, count: int, share: Share) -> None:
        actor = ray.remote(
            num_gpus=share.num_gpus,
            num_cpus=share.num_cpus,
            max_restarts=-1,
            scheduling_strategy="SPREAD",
        )(_Actor)
        self._actors: list[Any] = [actor.remote(make, number) for number in range(count)]
        self._background_call = ray.remote(num_cpus=0, max_retries=2)(_call)
        self._starting: dict[Any, int] = {}
        self._working: dict[Any, int] = {}
        self._in_background: dict[Any, str] = {}
        self._failures = [0] * count
        for number in range(count):
            self._start(number)

    def send(self, worker: int, task: Task) -> None:
        """Give a task to a worker that is ready."""
        self._working[self._actors[worker].run.remote(task)] = worker

    def run_in_background(self, background_task: BackgroundTask) -> None:
        """Call a function on any node; Ray calls it again if that node dies."""
        self._in_background[self._background_call.remote(background_task.call)] = background_task.key

    def wait(self, timeout_s: float) -> list[Event]:
        """What has happened."""
        refs = [*self._working, *self._starting, *self._in_background]
        if not refs:
            threading.Event().wait(timeout_s)
            return []
        first, _ = ray.wait(refs, num_returns=1, timeout=timeout_s, fetch_local=False)
        if not first:
            return []
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        return [event for ref in ready if (event := self._event(ref)) is not None]

    def close(self) -> None:
        """Stop all servers. Actors that do not answer end with Ray."""
        with contextlib.suppress(RayError):
            ray.get([actor.close.remote() for actor in self._actors], timeout=REACH_S * 3)
        for actor in self._actors:
            ray.kill(actor)

    def _start(self, worker: int) -> None:
        self._starting[self._actors[worker].ready.remote()] = worker

    def _event(self, ref: Any) -> Event | None:
        if ref in self._in_background:
            return self._background_event(self._in_background.pop(ref), ref)
        if ref in self._starting:
            return self._start_event(self._starting.pop(ref), ref)
        worker = self._working.pop(ref)
        try:
            report: Report = ray.get(ref)
        except RayActorError:
            self._start(worker)
            return Lost(worker)
        self._failures[worker] = 0
        return Ended(worker, report)

    def _start_event(self, worker: int, ref: Any) -> Event | None:
        try:
            return Ready(worker, ray.get(ref))
        except RayActorError as error:
            reason = f"its process ended before it was ready: {str(error).splitlines()[0]}"
        except RayTaskError as error:
            reason = str(error.cause)
        self._failures[worker] += 1
        given_up = self._failures[worker] >= MAX_START_FAILURES
        if not given_up:
            self._start(worker)
        return NotStarted(worker, reason, given_up)

    @staticmethod
    def _background_event(key: str, ref: Any) -> BackgroundTaskEnded:
        try:
            return BackgroundTaskEnded(key, ray.get(ref), None)
        except RayTaskError as error:
            return BackgroundTaskEnded(key, None, str(error.cause))
        except RayError as error:
            return BackgroundTaskEnded(key, None, str(error).splitlines()[0])


class _Actor:
    """What Ray runs; a task of it runs in the process' main thread, which the server's life hangs on."""

    def __init__(self, make: MakeWorker, number: int) -> None:
        node = f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"
        self._worker = make(number, node)

    @ray.method(max_task_retries=-1)
    def ready(self) -> str:
        return self._worker.ready()

    def run(self, task: Task) -> Report:
        return self._worker.run(task)

    def close(self) -> None:
        self._worker.close()


def server_worker(settings: WorkerSettings, number: int, node: str) -> Worker:
    """A real worker, with a ComfyUI server, for the actor of a number."""
    return Worker(settings, f"worker {number + 1}", node)


def _call(call: Callable[[], Any]) -> Any:
    return call()


@contextmanager
def _deadline(seconds: float, last_words: Callable[[], None]) -> Generator[None]:
    """End the process if the block takes too long: Ray's connecting cannot be interrupted from Python."""

    def end() -> None:
        last_words()
        sys.stderr.flush()
        os._exit(EXIT_UNREACHABLE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
