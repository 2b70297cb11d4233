"""Starts servers as forks of one Python that has the libraries already: a third of the processor's time.

ComfyUI and the pack are imported by each server anew. Where a fork would not be what was asked for (another
Python, other variables of those that are read at an import, a system without pidfd), the plain way is taken.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from comfy_server import Process, start_process
from warm_python import READY

SCRIPT = Path(__file__).with_name("warm_python.py")
READ_ONCE = (
    "PYTHON",
    "TORCH",
    "PYTORCH",
    "OMP_",
    "MKL_",
    "CUDA",
    "HF_",
    "TRANSFORMERS",
    "LD_",
    "LC_",
    "LANG",
)
"""How variables begin that Python or a library reads when it starts."""


class Fork:
    """A process that another one forked, as subprocess.Popen has one; its exit status is given as 0."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._file = os.pidfd_open(pid)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def poll(self) -> int | None:
        """None while it runs."""
        return 0 if select.select([self._file], [], [], 0)[0] else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; raises subprocess.TimeoutExpired."""
        if not select.select([self._file], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return 0

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._file, number)


def read_once(environment: dict[str, str]) -> dict[str, str]:
    """Those of the variables that are read at a start."""
    return {name: value for name, value in environment.items() if name.startswith(READ_ONCE)}


class WarmStarts:
    """The Python that forks, from the first start of a server on; use it as a context manager."""

    def __init__(self) -> None:
        self._python: subprocess.Popen[str] | None = None
        self._environment: dict[str, str] = {}

    def __enter__(self) -> "WarmStarts":
        return self

    def __exit__(self, *_: object) -> None:
        if self._python is not None:
            self._python.communicate()

    def start(self, command: Sequence[str], folder: Path, environment: dict[str, str], log: Path) -> Process:
        """As comfy_server.start_process: a command of Python and a script, forked where that is the same."""
        if command[0] != sys.executable or not hasattr(os, "pidfd_open"):
            return start_process(command, folder, environment, log)
        python = self._python_for(environment)
        if read_once(environment) != self._environment:
            return start_process(command, folder, environment, log)
        told = {"command": command[1:], "folder": str(folder), "environment": environment, "log": str(log)}
        return Fork(int(self._asked(python, json.dumps(told))))

    def _python_for(self, environment: dict[str, str]) -> "subprocess.Popen[str]":
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, str(SCRIPT)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._environment = read_once(environment)
            assert self._answer(self._python) == READY
        return self._python

    def _asked(self, python: "subprocess.Popen[str]", line: str) -> str:
        assert python.stdin is not None
        print(line, file=python.stdin, flush=True)
        return self._answer(python)

    @staticmethod
    def _answer(python: "subprocess.Popen[str]") -> str:
        assert python.stdout is not None
        answer = python.stdout.readline().strip()
        assert answer, f"{SCRIPT.name} has ended"
        return answer
