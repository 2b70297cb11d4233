"""What the driver knows of its workers: numbers that take tasks, and events that come back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from .task import Report, Task


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker can take a task."""

    worker: int
    name: str


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A worker's server does not start; `given_up` if no further try is made."""

    worker: int
    reason: str
    given_up: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker's process has ended; another takes its place and will be Ready."""

    worker: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker's task has ended, and the worker can take the next one."""

    worker: int
    report: Report


@dataclass(frozen=True, slots=True)
class BackgroundTaskEnded:
    """A background task has ended: with what its function gave, or an error."""

    key: str
    value: Any
    error: str | None


Event: TypeAlias = Ready | NotStarted | Lost | Ended | BackgroundTaskEnded


@dataclass(frozen=True, slots=True)
class BackgroundTask:
    """A function that needs no server, to be called on any machine."""

    key: str
    call: Callable[[], Any]


class WorkerPool(Protocol):
    """Workers, numbered from 0."""

    def send(self, worker: int, task: Task) -> None:
        """Give a task to a worker that is ready."""
        ...

    def run_in_background(self, background_task: BackgroundTask) -> None:
        """Have a function called somewhere."""
        ...

    def wait(self, timeout_s: float) -> list[Event]:
        """What has happened; waits for it if nothing has."""
        ...
