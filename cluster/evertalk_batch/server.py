"""One headless ComfyUI server as a child process, bound to this machine's own address."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import die_with_parent
from .comfy_client import ComfyClient, ServerError

LOOPBACK = "127.0.0.1"
STOP_GRACE_S = 10
LOG_LINES = 25


class ServerStartError(ServerError):
    """A server did not start; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How servers are started; the same on every node.

    Attributes:
        comfyui: folder of ComfyUI, EverTalk among its custom nodes.
        python: ComfyUI's own Python; "" looks for it in ComfyUI's folder.
        base: folder with models and custom_nodes; None for ComfyUI's own.
        output: where results go, on the shared disk.
        arguments: more of ComfyUI's options.
        start_timeout_s: how long a server may take until it answers.
    """

    comfyui: Path
    python: str
    base: Path | None
    output: Path
    arguments: tuple[str, ...] = ()
    start_timeout_s: float = 300.0


class ComfyServer:
    """A server; `scratch` is a folder of its own for uploads, temporary files and its log."""

    def __init__(self, settings: ServerSettings, scratch: Path) -> None:
        self._settings, self._scratch = settings, scratch
        self._process: subprocess.Popen[bytes] | None = None
        self.client = ComfyClient("")

    @property
    def pid(self) -> int | None:
        """Of the process, None if there is none."""
        return self._process.pid if self._process else None

    @property
    def input(self) -> Path:
        """Where uploads go."""
        return self._scratch / "input"

    def ensure(self) -> None:
        """Have a server that answers: start one if there is none, or if it ended or hangs.

        Raises:
            ServerStartError: it does not start.
        """
        if self._process is not None and self._answers():
            return
        self.stop()
        self._start()

    def stop(self) -> None:
        """End the server: ask first, kill after a grace period."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def log_end(self) -> str:
        """The last lines of its log."""
        try:
            lines = (self._scratch / "server.log").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-LOG_LINES:])

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process is None or self._process.poll() is not None

    def _start(self) -> None:
        port = _free_port()
        self.client = ComfyClient(f"http://{LOOPBACK}:{port}")
        try:
            command = [*self._program(), *self._options(port)]
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            with (self._scratch / "server.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, die_with_parent.__file__, str(os.getpid()), *command],
                    cwd=self._scratch,
                    env={**environment, "PYTHONUNBUFFERED": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        except OSError as error:
            raise ServerStartError(f"ComfyUI's server cannot be started: {error}") from error
        deadline_s = time.monotonic() + self._settings.start_timeout_s
        while not self._answers():
            if self.has_ended() or time.monotonic() > deadline_s:
                self.stop()
                raise ServerStartError(f"ComfyUI's server did not start. Its log ends:\n{self.log_end()}")
            time.sleep(0.2)

    def _program(self) -> Iterator[str]:
        comfyui = self._settings.comfyui
        if not (comfyui / "main.py").is_file():
            raise ServerStartError(
                f"{comfyui} holds no main.py: give ComfyUI's folder, the same on every node, by --comfyui"
            )
        own = [comfyui / venv / "bin" / "python" for venv in (".venv", "venv")]
        yield self._settings.python or str(next((python for python in own if python.exists()), "python3"))
        yield str(comfyui / "main.py")

    def _options(self, port: int) -> Iterator[str]:
        yield from ("--disable-auto-launch", "--listen", LOOPBACK, "--port", str(port))
        if self._settings.base is not None:
            yield from ("--base-directory", str(self._settings.base))
        for name in ("input", "temp", "user"):
            folder = self._scratch / name
            folder.mkdir(parents=True, exist_ok=True)
            yield from (f"--{name}-directory", str(folder))
        yield from ("--output-directory", str(self._settings.output))
        yield from ("--database-url", f"sqlite:///{self._scratch / 'user' / 'comfyui.db'}")
        yield from self._settings.arguments

    def _answers(self) -> bool:
        if self.has_ended():
            return False
        with contextlib.suppress(ServerError):
            self.client.system_stats()
            return True
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
