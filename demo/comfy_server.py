"""Starts and stops a real ComfyUI server with this pack and nothing else in it, headless."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Protocol

from comfy_client import ComfyClient, ServerError

PACK = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 180
ON_CPU = ("--cpu",)
STOP_GRACE_S = 10
LINK_NAME = "EverTalk"
LOG_NAME = "server.log"
"""In the server's folder: all that it has printed."""


class ServerStartError(Exception):
    """The server did not start; the message holds the end of its log."""


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_base_directory(base: Path, pack_name: str = LINK_NAME) -> None:
    """Create the folders that a server needs, with the pack linked among its custom nodes."""
    for name in ("custom_nodes", "models", "input", "output", "temp", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    link = base / "custom_nodes" / pack_name
    if not link.is_symlink():
        link.symlink_to(PACK, target_is_directory=True)


def environment() -> dict[str, str]:
    """A server's variables: its log is written as it prints, and the pack's folder is not on its path.

    There its nodes/ would hide ComfyUI's nodes.py.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"PYTHONUNBUFFERED": "1"}


class Process(Protocol):
    """What is needed of a server's process; subprocess.Popen has it."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def start_process(command: Sequence[str], folder: Path, environment: dict[str, str], log: Path) -> Process:
    """Start a command in a folder, with these variables and no input; all that it prints goes to `log`."""
    with log.open("wb") as printed:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed
        )


class ComfyServer:
    """A server process and the client that speaks to it; use it as a context manager.

    Args:
        comfyui: the folder of ComfyUI.
        base: its folder for models, input and all else.
        output: where results go; None: base/output.
        pack_name: of the pack's folder among the custom nodes.
        flags: for ComfyUI's main.py.
        python: the Python that runs it; None: this one.

    Attributes:
        base: its folder: models, input, and server.log.
        output: the folder that results are written to; base/output unless another was chosen.
        client: speaks to it.
        start_process: starts the process of every server.
    """

    start_process: ClassVar[Callable[[Sequence[str], Path, dict[str, str], Path], Process]] = staticmethod(
        start_process
    )

    def __init__(
        self,
        comfyui: Path,
        base: Path,
        output: Path | None = None,
        pack_name: str = LINK_NAME,
        *,
        flags: Sequence[str] = ON_CPU,
        python: Path | None = None,
    ) -> None:
        self.base = base.resolve()
        self.output = (output or self.base / "output").resolve()
        self._comfyui = comfyui.resolve()
        self._pack_name = pack_name
        self._start = [str(python or sys.executable), str(self._comfyui / "main.py"), *flags]
        self._process: Process | None = None
        self._port = free_port()
        self.client = ComfyClient(f"http://127.0.0.1:{self._port}")

    @property
    def models(self) -> Path:
        """The folder that holds one folder for each kind of model file."""
        return self.base / "models"

    @property
    def pid(self) -> int:
        """Of the server's process, which must have been started."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything the server has printed so far."""
        return self._log_file.read_text(errors="replace")

    @property
    def _log_file(self) -> Path:
        return self.base / LOG_NAME

    def start(self) -> None:
        """Start the server and wait until it answers; raises ServerStartError with its log's end."""
        make_base_directory(self.base, self._pack_name)
        self.output.mkdir(parents=True, exist_ok=True)
        command = [*self._start, "--disable-auto-launch", "--listen", "127.0.0.1", "--port", str(self._port)]
        command += ["--base-directory", str(self.base), "--output-directory", str(self.output)]
        command += [
            "--database-url",
            f"sqlite:///{self.base / 'user' / 'comfyui.db'}",
        ]  # else in ComfyUI's folder
        self._process = type(self).start_process(command, self.base, environment(), self._log_file)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                last_lines = "\n".join(self.log.splitlines()[-30:])
                raise ServerStartError(
                    f"The ComfyUI server did not start. The end of {self._log_file}:\n{last_lines}"
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server: ask first, kill after a grace period."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the server at once, as a crash or a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wait(self) -> None:
        """Wait until the server ends by itself."""
        if self._process is not None:
            self._process.wait()

    def _answers(self) -> bool:
        try:
            self.client.system_stats()
        except ServerError:
            return False
        return True

    def __enter__(self) -> "ComfyServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
