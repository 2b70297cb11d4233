"""One worker: holds a ComfyUI server and does one task after the other with it."""

import contextlib
import errno
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .attempts import Attempt
from .batch_store import BatchStore
from .comfy_client import Event, JobError, JobInterruptedError, ServerError, TextEvent
from .outputs import report_of
from .scratch import Scratch
from .server import ComfyServer, ServerSettings
from .task import Ending, Report, Task
from .usage import Peak

WINDOW = re.compile(r"Window (\d+) of (\d+), step (\d+)/(\d+)")
ALL_FINISHED = re.compile(r"all (\d+) windows were finished")
DISK_FULL = re.compile(r"disk is full|No space left|Disk quota exceeded")
REFUSED_FOR_ROOM = re.compile(r"free, but this run of \d+ windows needs about")
"""What EverTalk says before it begins a run that the disk cannot hold."""

TAKEN = "is working on the same run"
USAGE_EVERY_S = 2.0
WRITE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker needs to know.

    Attributes:
        server: how its server is started.
        store: the batch's folder.
        silence_s: a server that tells nothing for so long during a job is started anew.
        min_free_bytes: below it the disk counts as full, and a job that was refused for want of room is done
            again when there is some; above it the job needs more than there is, and has failed.
    """

    server: ServerSettings
    store: BatchStore
    silence_s: float = 1800.0
    min_free_bytes: int = 0


def ending_of(message: str, settings: WorkerSettings) -> Ending:
    """What a job's error means for the batch."""
    if DISK_FULL.search(message):
        return Ending.DISK_FULL
    if REFUSED_FOR_ROOM.search(message) and settings.store.free_bytes() < settings.min_free_bytes:
        return Ending.DISK_FULL
    return Ending.RUN_TAKEN if TAKEN in message else Ending.FAILED


class Worker:
    """Lives in a process of its own, as `name` on the machine `place`."""

    def __init__(self, settings: WorkerSettings, name: str, place: str) -> None:
        self._settings = settings
        self._who = f"{name} on {place}"
        self._scratch = Scratch()
        self._server = ComfyServer(settings.server, self._scratch.folder)

    def ready(self) -> str:
        """Start the server if need be; gives the worker's name.

        Raises:
            ServerStartError: it does not start.
        """
        self._server.ensure()
        return self._who

    def close(self) -> None:
        """Stop the server and remove what it wrote beside the results."""
        self._server.stop()
        self._scratch.close()

    def run(self, task: Task) -> Report:
        """Do a task. Whatever happens is told in the report."""
        begun_s = time.monotonic()
        log = _JobLog(self._settings.store.log(task.job_id))
        log.write(f"{task.key}: attempt {task.attempt} on {self._who}")
        try:
            report = self._run(task, log)
        except JobInterruptedError as error:
            report = Report(Ending.STOPPED, error=str(error))
        except JobError as error:
            told = "; ".join(line.strip() for line in str(error).splitlines())
            report = Report(ending_of(told, self._settings), error=told)
            log.write(error.trace)
        except ServerError as error:
            log.write(f"the server's log ends:\n{self._server.log_end()}")
            self._server.stop()
            report = Report(Ending.SERVER_LOST, error=str(error))
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            report = Report(Ending.DISK_FULL if full else Ending.FAILED, error=str(error))
        seconds = time.monotonic() - begun_s
        log.write(f"{task.key}: {report.ending.value} after {seconds:.1f} s {report.error or ''}".rstrip())
        return replace(report, seconds=round(seconds, 3))

    def _run(self, task: Task, log: "_JobLog") -> Report:
        self._server.ensure()
        client = self._server.client
        try:
            for upload in task.uploads:
                if (stored := client.upload(upload.path, upload.name)) != upload.name:
                    raise ServerError(f"the server stored {upload.path} as {stored}, not as {upload.name}")
            follower = _Follower(task, self._settings.store, self._who, log)
            peak = Peak(self._server.pid, client.system_stats)
            tick = _ticker(self._settings.store.cancel, client.interrupt, peak)
            silence_s = self._settings.silence_s
            outcome = client.run(task.nodes, follower.hear, None, tick=tick, silence_s=silence_s)
            return report_of(outcome.outputs, follower.windows, peak)
        finally:
            for upload in task.uploads:
                (self._server.input / upload.name).unlink(missing_ok=True)


def _ticker(cancel: Path, interrupt: Callable[[], None], peak: Peak) -> Callable[[], None]:
    """Called twice a second while a job runs: stops it when the batch is cancelled, and measures memory."""
    asked = False
    looked_s = 0.0

    def tick() -> None:
        nonlocal asked, looked_s
        if not asked and cancel.exists():
            interrupt()
            asked = True
        if time.monotonic() - looked_s > USAGE_EVERY_S:
            peak.look()
            looked_s = time.monotonic()

    return tick


class _Follower:
    """Turns what the server tells into the attempt's file and the job's log."""

    def __init__(self, task: Task, store: BatchStore, who: str, log: "_JobLog") -> None:
        self._folder, self._log = store.attempts, log
        self._attempt = Attempt(task.key, task.attempt, who, time.time())
        self.windows: int | None = None
        self._written_s = 0.0
        self._write()

    def hear(self, event: Event) -> None:
        """Take note of a sentence."""
        if not isinstance(event, TextEvent):
            return
        text = event.text
        step = WINDOW.match(text)
        if step is None:
            self._log.write(text)
            finished = ALL_FINISHED.match(text)
            self.windows = int(finished[1]) if finished else self.windows
            return
        window, self.windows = int(step[1]), int(step[2])
        if window != self._attempt.window:
            self._log.write(f"window {window} of {self.windows}")
            self._attempt.window, self._attempt.windows = window, self.windows
            self._attempt.begun += 1
            self._write()
        elif time.monotonic() - self._written_s > WRITE_EVERY_S:
            self._write()

    def _write(self) -> None:
        self._attempt.write(self._folder)
        self._written_s = time.monotonic()


class _JobLog:
    """Appends lines with the time to a job's log."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> None:
        """Add a line; a full disk must not end a job by its log."""
        if text:
            with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
