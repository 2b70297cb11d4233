"""The server that `gpu_faults.py` tries, and the process that takes a GPU's memory away from it."""

import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from comfy_client import SMALL_JOB, Event, JobError, PackEvent, ServerError, TextEvent
from comfy_server import ComfyServer
from fault_promises import STEPS
from kill_runs import finished_windows, run_folders, write_speech
from real_server import ROOT, Place, server_of
from server_graph import graph_of
from server_variants import Variant

PACK = ROOT / "tests" / "nodes" / "fault_pack"
REAL = Variant("faults", size="448x256", steps=STEPS, seconds=3.2)
TINY = Variant("faults", size="64x64", steps=STEPS, seconds=1.6)
REAL_WINDOWS = {"window_frames": 33, "motion_frames": 9}
TINY_WINDOWS = {"window_frames": 17, "motion_frames": 5}
"""Three windows each."""

OTHER_SPEECH_S = 0.04
"""Longer: speech that was not encoded before, and no window more."""

SMALL_JOB_S = 30.0


class Taker:
    """Another process that takes what is free on the GPU, from `take` until it is left."""

    def __init__(self, python: Path) -> None:
        command = [str(python), str(PACK / "full_gpu.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ready = threading.Event()
        threading.Thread(target=self._wait_for_ready, daemon=True).start()
        self.taken_gb = 0.0

    def _wait_for_ready(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline():
            self._ready.set()

    def __enter__(self) -> "Taker":
        if not self._ready.wait(60):
            self._process.kill()
            raise TimeoutError("the process that is to take the GPU's memory did not begin")
        return self

    def take(self) -> None:
        """Begin."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write("take\n")
            self._process.stdin.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            told, _ = self._process.communicate(timeout=20)
            self.taken_gb = json.loads(told)["taken_gb"] if told else 0.0
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Ran:
    """One run: what it said, what was written, and how it ended."""

    texts: list[str] = field(default_factory=list)
    written: set[int] = field(default_factory=set)
    error: str = ""
    video: Path | None = None

    @property
    def made(self) -> int:
        """Windows that were made."""
        return sum(text.startswith("Window ") and " made" in text for text in self.texts)


class Stand:
    """The server that is tried, started anew where it does not answer; a context manager.

    Args:
        place: where things are.
        base: the server's folder.
        ends_at: time.monotonic() at which all must have ended.
        limit_s: of one run.

    Attributes:
        frames: of the video that nothing disturbed.
        loaded_gb, idle_gb: GPU memory behind it, and with its models in RAM.
    """

    def __init__(self, place: Place, base: Path, ends_at: float, limit_s: float) -> None:
        self.place, self.base, self.ends_at, self.limit_s = place, base, ends_at, limit_s
        self.variant = TINY if place.tiny else REAL
        self._last_log = ""
        self._is_new = True
        self.frames, self.loaded_gb, self.idle_gb = 0, 0.0, 0.0
        self._stack = ExitStack()
        self._server: ComfyServer | None = None

    @property
    def server(self) -> ComfyServer:
        """That runs, or a new one."""
        if self._server is None:
            (self.base / "custom_nodes").mkdir(exist_ok=True)
            link = self.base / "custom_nodes" / PACK.name
            if not link.exists():
                link.symlink_to(PACK)
            self._server = self._stack.enter_context(server_of(self.variant, self.place, self.base, {}))
            write_speech(self._server, self.variant.seconds + OTHER_SPEECH_S)
            self.arm()
            self._is_new = True
        return self._server

    @property
    def log(self) -> str:
        """Of the server that runs, or ran last."""
        return self._last_log if self._server is None else self._server.log

    def end(self) -> None:
        """End the server; the next that is asked of it starts another."""
        if self._server is not None:
            self._last_log = self._server.log
            self._server.kill()
        self._server = None
        self._stack.close()

    def __enter__(self) -> "Stand":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def arm(self, **fault: Any) -> list[str]:
        """Arm a fault, or none; what the calls that met the one before raised."""
        return self.server.client.ask("/fault", fault)["met"]

    def used_gb(self) -> float:
        """The GPU's memory that is taken."""
        return round(self.server.client.ask("/fault")["used_gb"], 2)

    def does_small_job(self) -> bool:
        """Whether the server does a job that needs no model."""
        try:
            self.server.client.run(SMALL_JOB, timeout_s=SMALL_JOB_S)
        except (JobError, ServerError, TimeoutError):
            return False
        return True

    def unload(self) -> float:
        """Have the models go to RAM; GB that are taken then."""
        self.server.client.ask("/free", {"unload_models": True})
        for _ in range(2):  # the server does it behind one of them
            self.does_small_job()
        return self.used_gb()

    def graph(self, prefix: str, seconds: float) -> dict[str, Any]:
        """A film of three windows of its own."""
        graph = graph_of(self.variant, self.variant.files(tiny=self.place.tiny), seed=1)
        for node in graph.values():
            if node["class_type"] == "EverTalkSampler":
                node["inputs"] |= TINY_WINDOWS if self.place.tiny else REAL_WINDOWS
                node["inputs"] |= {"filename_prefix": prefix, "resume": "auto"}
            if node["class_type"] == "LoadAudio":
                node["inputs"]["audio"] = f"speech_{seconds:g}.wav"
        return graph

    def run(
        self,
        graph: dict[str, Any],
        limit_s: float | None = None,
        on_window: Callable[[], None] = lambda: None,
    ) -> Ran:
        """Queue the film and wait for its end, a server's first one for twice as long.

        Raises:
            ServerError: the server is lost.
            TimeoutError: it takes too long.
        """
        ran = Ran()

        def note(event: Event) -> None:
            if isinstance(event, PackEvent) and event.kind == "window":
                ran.written.add(event.data["window"])
                on_window()
            if isinstance(event, TextEvent):
                ran.texts.append(event.text)

        client, left_s = self.server.client, max(1.0, self.ends_at - time.monotonic())
        limit_s = limit_s or self.limit_s * (2 if self._is_new else 1)
        self._is_new = False
        try:
            outcome = client.run(graph, note, timeout_s=min(limit_s, left_s))
        except JobError as error:
            ran.error = str(error)
            return ran
        summaries = [shown["evertalk"][0] for shown in outcome.outputs.values() if "evertalk" in shown]
        ran.video = Path(summaries[0]["path"])
        return ran

    def finished(self, prefix: str) -> tuple[int, list[str]]:
        """How many windows a film's folder names as finished, and their packets while they lie there."""
        count, packets = 0, list[str]()
        for folder in run_folders(self.server, prefix):
            count += finished_windows(folder)
            for path in sorted(folder.glob("w[0-9]*.mp4")):
                packets += packets_of(path)
        return count, packets


def packets_of(path: Path) -> list[str]:
    """A digest of each packet of a video's pictures; windows keep theirs as they are joined."""
    with av.open(str(path)) as container:
        pieces = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    return [hashlib.sha256(piece).hexdigest() for piece in pieces]
