"""One worker: a Python process of its own, fresh, since a process that uses a GPU cannot be split in two.

It begins to import ComfyUI and the pack at once, and is told of a MODEL by its second message.
"""

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import comfy.cli_args
import comfy.options

from .channel import Message, channel_pair
from .machine import Machine, environment_of

SCRIPT = Path(__file__).with_name("worker_main.py")
PACK_ROOT = Path(__file__).resolve().parents[3]
LAST_LINES = 20
"""The last lines that a worker printed, kept for the message that it failed with."""

GRACE_S = 3.0
"""A worker leaves as soon as its channel closes; one that still imports, or is stuck, is killed then."""

READY, DONE, FAILED = "ready", "done", "failed"
"""What a worker says: it holds the model; it has done its part; it cannot go on, and why."""


class WorkerProcess:
    """A worker as the server sees it.

    Args:
        where: its GPU, as messages call it.
        environment: of the process.

    Attributes:
        changed: called, on a thread of its own, when it is ready, has failed, or is gone.
    """

    def __init__(self, where: str, environment: Mapping[str, str]) -> None:
        self._where = where
        self.changed: Callable[[], None] = lambda: None
        self.is_ready = False
        self.waited_s = self.loaded_s = 0.0
        """How long it waited, with all imported, for its MODEL, and how long that took to load."""
        self.parts_done = 0
        self.failure = ""
        """Which worker cannot go on, and why; empty while it can."""
        self.follows = False
        """Whether it cannot since a collective failed: another worker may be the cause."""
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
        self.send(surroundings())

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

    def end(self, grace_s: float) -> None:
        """Let it go, and see that it is gone: one that is there after so long is killed."""
        self.leave()
        try:
            self._process.wait(grace_s)
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
                self.waited_s, self.loaded_s = message["waited_s"], message["loaded_s"]
                self.is_ready = True
            elif message["is"] == DONE:
                self.parts_done += 1
            else:
                self.follows = message["follows"]
                self.failure = f"the worker on {self._where}: {message['says']}"
            self.changed()
        code = self._process.wait()
        self._threads[0].join(GRACE_S)
        self.failure = self.failure or self._last_words(code)
        self.changed()

    def _last_words(self, code: int) -> str:
        how = f"the worker on {self._where} ended with code {code}"
        if code < 0:
            how = f"the worker on {self._where} was ended by signal {-code}"
        return "; ".join((how, *(line for line in list(self._lines)[-3:] if line)))


def new_workers(machine: Machine, size: int) -> list[WorkerProcess]:
    """The processes beside the server's own in a team of `size`, which begin to import.

    Raises:
        OSError: the system starts no more of them; those that were started are ended.
    """
    workers: list[WorkerProcess] = []
    try:
        for number in machine.others(size):
            where = f"GPU {number}" if machine.backend == "nccl" else f"process {number}"
            workers.append(WorkerProcess(where, environment_of(number, size, machine, os.environ)))
    except BaseException:
        end_all(workers)
        raise
    return workers


def end_all(workers: list[WorkerProcess]) -> None:
    """Let workers go, and see that they are gone: all after about GRACE_S, however many are stuck."""
    for worker in workers:
        worker.leave()
    until_s = time.monotonic() + GRACE_S
    for worker in workers:
        worker.end(max(0.0, until_s - time.monotonic()))


def surroundings() -> dict[str, Any]:
    """What a worker imports from, how this server was started, and which process it is."""
    return {
        # ComfyUI's folder first: its nodes.py has put one before it that has a utils of its own.
        "paths": [str(Path(comfy.options.__file__).parents[1]), *filter(None, sys.path)],
        "arguments": server_arguments(),
        "pack": str(PACK_ROOT),
        "server": os.getpid(),
    }


def server_arguments() -> list[str]:
    """ComfyUI's arguments, as this server was started with them."""
    if comfy.options.args_parsing:
        return list(sys.argv)
    return ["main.py", "--cpu"] if comfy.cli_args.args.cpu else ["main.py"]
