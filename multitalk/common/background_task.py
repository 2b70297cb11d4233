"""One job at a time on a thread of its own: a window is written while the next one is made."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType


class Background:
    """Context manager: runs jobs in order on one thread, each while the caller goes on.

    There is no queue: a job that is handed over waits for the one before, so that with the caller's own no
    more than two windows of frames exist at once. An error of a job is raised by the next call, or at the end
    of the block. A job has the caller's context variables: it belongs to the same node.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._running: Future[None] | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Start a job after the one before has ended; raises what that one raised."""
        self.wait()
        self._running = self._executor.submit(copy_context().run, job)

    def wait(self) -> None:
        """Wait for the job that runs; raises what it raised, once."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def __enter__(self) -> "Background":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if exc_type is None:
                self.wait()
        finally:
            self._executor.shutdown(wait=True)
