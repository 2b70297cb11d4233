"""What a person sees of a batch that runs: messages, a bar for all jobs, a bar a worker."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from .attempts import Attempt

LINE_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment of a batch.

    Attributes:
        total: jobs.
        done, failed: those that have a result.
        running: what the workers do.
        left_s: expected seconds until the end; None while unknown.
    """

    total: int
    done: int
    failed: int
    running: Sequence[Attempt]
    left_s: float | None


class View(Protocol):
    """Shows a batch."""

    def tell(self, text: str) -> None:
        """A sentence that stays."""
        ...

    def show(self, snapshot: Snapshot) -> None:
        """How far it is."""
        ...


def duration_text(seconds: float | None) -> str:
    """Such as 3:05:09; "unknown" for None."""
    if seconds is None:
        return "unknown"
    minutes, rest_s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest_s:02}"


def line_of(snapshot: Snapshot) -> str:
    """A moment in a line."""
    ended = snapshot.done + snapshot.failed
    return (
        f"{ended} of {snapshot.total} jobs, {snapshot.failed} failed, {len(snapshot.running)} running, "
        f"time left: {duration_text(snapshot.left_s)}"
    )


def running_line(attempt: Attempt) -> str:
    """What a worker does, in a line."""
    return f"{attempt.worker}: {attempt.key}, window {attempt.window} of {attempt.windows or '?'}"


class ConsoleView:
    """Bars in a terminal; lines where the output goes to a file. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=console,
            auto_refresh=False,
        )
        self._all = self._bars.add_task("all jobs", total=None)
        self._workers: dict[str, TaskID] = {}
        self._told_s = 0.0

    def __enter__(self) -> "ConsoleView":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def tell(self, text: str) -> None:
        """Print it, above the bars."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, snapshot: Snapshot) -> None:
        """Move the bars; without a terminal a line now and then."""
        if not self._console.is_terminal:
            if time.monotonic() - self._told_s > LINE_EVERY_S:
                self._told_s = time.monotonic()
                self.tell(line_of(snapshot))
            return
        ended = snapshot.done + snapshot.failed
        about = f"all jobs, {snapshot.failed} failed, {duration_text(snapshot.left_s)} left"
        self._bars.update(self._all, description=about, total=snapshot.total, completed=ended)
        running = {attempt.worker: attempt for attempt in snapshot.running}
        for worker in running.keys() - self._workers.keys():
            self._workers[worker] = self._bars.add_task(worker)
        for worker, bar in self._workers.items():
            attempt = running.get(worker)
            if attempt is None:
                self._bars.update(bar, description=f"{worker}: waits", total=None, completed=0)
            else:
                text, total = f"{worker}: {attempt.key}", attempt.windows or None
                self._bars.update(bar, description=text, total=total, completed=max(0, attempt.window - 1))
        self._bars.refresh()
