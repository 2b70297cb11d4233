"""One worker: a Python process of its own, fresh, since a process that uses a GPU cannot be split in two."""

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from .channel import Message, channel_pair

SCRIPT = Path(__file__).with_name("worker_main.py")
LAST_LINES = 20
"""The last lines that a worker printed, kept for the message that it failed with."""

GRACE_S = 3.0
"""A worker leaves as soon as its channel closes; one that is stuck is killed after this."""

READY, DONE, FAILED = "ready", "done", "failed"
"""What a worker says: it holds the model; it has done its part; it cannot go on, and why."""


class WorkerProcess:
    """A worker as the server sees it.

    Args:
        where: its GPU, as messages call it.
        environment: of the process.
        changed: called, on a thread of its own, when it is ready, has failed, or is gone.
    """

    def __init__(self, where: str, environment: Mapping[str, str], changed: Callable[[], None]) -> None:
        self._where = where
        self.is_ready = False
        self.parts_done = 0
        self.failure = ""
        """Which worker cannot go on, and why; empty while it can."""
        self.follows = False
        """Whether it cannot since a collective failed: another worker may be the cause."""
        self._changed = changed
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._channel, theirs = channel_pair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
            )
        self._threads = [
            threading.Thread(target=work, name=f"evertalk worker on {where}", daemon=True)
            for work in (self._print, self._listen)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Say something to it; a worker that is gone is noticed by its listener."""
        try:
            self._channel.send(message)
        except OSError:
            return

    def leave(self) -> None:
        """Let it go, without waiting until it is gone."""
        self._channel.shut()

    def end(self) -> None:
        """Let it go, and see that it is gone."""
        self.leave()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(GRACE_S)
        self._channel.close()

    def _print(self) -> None:
        """Keep what it prints: its pipe must not fill, and its last words are told when it fails."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.append(line.decode(errors="replace").rstrip())

    def _listen(self) -> None:
        while (message := self._channel.receive()) is not None:
            if message["is"] == READY:
                self.is_ready = True
            elif message["is"] == DONE:
                self.parts_done += 1
            else:
                self.follows = message["follows"]
                self.failure = f"the worker on {self._where}: {message['says']}"
            self._changed()
        code = self._process.wait()
        self._threads[0].join(GRACE_S)
        self.failure = self.failure or self._last_words(code)
        self._changed()

    def _last_words(self, code: int) -> str:
        how = f"the worker on {self._where} ended with code {code}"
        if code < 0:
            how = f"the worker on {self._where} was ended by signal {-code}"
        return "; ".join((how, *(line for line in list(self._lines)[-3:] if line)))
