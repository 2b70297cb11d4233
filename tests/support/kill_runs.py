"""Kills a server at chosen moments of a run and tells what it had finished by then."""

import json
import random
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from comfy_client import JobError, ServerError
from comfy_server import ComfyServer
from wired_models import put_wired_models

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflows" / "api" / "demo_tiny.api.json"
RATE_HZ = 16_000
PIECE_SAMPLES = 60 * RATE_HZ
JOB_TIMEOUT_S = 240
STEP = re.compile(r"Window (\d+) of \d+, step 1/")

Stage = Callable[[Path], bool]
"""Whether a run's folder shows that a stage has begun."""


SMALL: dict[str, Any] = {
    "width": 64,
    "height": 64,
    "window_frames": 17,
    "motion_frames": 5,
    "scheduler": "infinitetalk",
    "steps": 2,
}
"""Widgets of the sampler that make a run as small as can be."""


def tiny_run(seconds: float, prefix: str, **widgets: Any) -> dict[str, Any]:
    """The demo's workflow at 64 x 64 with short windows, on the sound that write_speech makes."""
    workflow: dict[str, Any] = json.loads(WORKFLOW.read_text())
    sampler = next(node for node in workflow.values() if node["class_type"] == "EverTalkSampler")
    sampler["inputs"] |= SMALL | {"filename_prefix": prefix, **widgets}
    for node in workflow.values():
        if node["class_type"] == "LoadAudio":
            node["inputs"]["audio"] = f"speech_{seconds:g}.wav"
    return workflow


def prepare(server: ComfyServer) -> None:
    """Give a server the demo's tiny models and its picture."""
    put_wired_models(server.models)
    portrait = ROOT / "demo" / "media" / "portrait.jpg"
    (server.base / "input" / "portrait.jpg").write_bytes(portrait.read_bytes())


def write_speech(server: ComfyServer, seconds: float) -> None:
    """A sound in the server's input folder; of a longer one the beginning is the same."""
    write_sound(server.base / "input" / f"speech_{seconds:g}.wav", seconds)


def write_sound(path: Path, seconds: float) -> None:
    """A sound of noise that swells and falls, as a WAV file."""
    draw, total = np.random.default_rng(3), int(seconds * RATE_HZ)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for start in range(0, total, PIECE_SAMPLES):
            time_s = np.arange(start, min(start + PIECE_SAMPLES, total)) / RATE_HZ
            sound = draw.normal(0, 0.1, len(time_s)) * (0.5 + 0.5 * np.sin(time_s * 7))
            samples = (sound * 20_000).clip(-32_768, 32_767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate = RATE_HZ
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def finished_windows(folder: Path) -> int:
    """How many windows a run's manifest names."""
    with suppress(FileNotFoundError):
        return len(json.loads((folder / "manifest.json").read_text())["windows"])
    return 0


def sampled_windows(log: str) -> list[int]:
    """The windows that were begun, counted from 0, in order."""
    return [int(number) - 1 for number in STEP.findall(log)]


def run_folders(server: ComfyServer, prefix: str) -> list[Path]:
    """The folders of a prefix' runs."""
    return sorted(server.output.glob(f"{prefix}_r*.run"))


def has_file(pattern: str) -> Stage:
    """A stage that shows in a file."""
    return lambda folder: any(folder.glob(pattern))


def named(count: int) -> Stage:
    """So many windows are finished: the next is in the making."""
    return lambda folder: finished_windows(folder) >= count


STAGES: dict[str, Callable[[random.Random], Stage]] = {
    "window": lambda draw: named(draw.randrange(0, 6)),
    "encode": lambda draw: both(named(draw.randrange(0, 5)), has_file(".part-*.mp4")),
    "rename": lambda draw: segment_beyond(draw.randrange(0, 5)),
    "carry": lambda draw: both(named(draw.randrange(0, 5)), has_file(".part-*.safetensors")),
    "remux": lambda _draw: named(8),  # all that there are: the video is put together at once
}


def both(one: Stage, other: Stage) -> Stage:
    """Both show."""
    return lambda folder: one(folder) and other(folder)


def segment_beyond(index: int) -> Stage:
    """A segment has its name and the manifest does not know it, or only just: that moment is short."""
    return lambda folder: (folder / f"w{index:06}.mp4").exists()


@dataclass(frozen=True, slots=True)
class Moment:
    """When a server is killed.

    Attributes:
        name: of the stage.
        stage: shows that it has begun.
        delay_s: how long after that.
    """

    name: str
    stage: Stage
    delay_s: float


def moments(count: int, seed: int) -> list[Moment]:
    """Seeded moments over all stages in turn."""
    draw = random.Random(seed)
    names = [name for _ in range(count // len(STAGES) + 1) for name in STAGES][:count]
    longest_s = {"window": 0.8, "encode": 0.05, "rename": 0.004, "carry": 0.004, "remux": 0.15}
    return [Moment(name, STAGES[name](draw), draw.uniform(0, longest_s[name])) for name in names]


class Killer:
    """Kills a server at a moment of the run that is queued meanwhile; a context manager around the run."""

    def __init__(self, server: ComfyServer, prefix: str, moment: Moment) -> None:
        self._server, self._prefix, self._moment = server, prefix, moment
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.killed = False

    def _watch(self) -> None:
        while not self._end.is_set():
            if any(self._moment.stage(folder) for folder in run_folders(self._server, self._prefix)):
                time.sleep(self._moment.delay_s)
                self._server.kill()
                self.killed = True
                return
            time.sleep(0.001)

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def run_until_killed(server: ComfyServer, workflow: dict[str, Any], prefix: str, moment: Moment) -> bool:
    """Queue a run and kill the server at a moment; False if the run ended before."""
    with Killer(server, prefix, moment) as killer, suppress(ServerError, JobError, ConnectionError):
        server.client.run(workflow, timeout_s=JOB_TIMEOUT_S)
    return killer.killed
