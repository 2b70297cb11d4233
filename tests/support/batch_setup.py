"""The setup for tests of batches: tiny models, a picture, sounds, a workflow and a job file."""

import json
import os
import sys
import wave
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from wired_models import put_wired_models

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflows" / "api" / "demo_tiny.api.json"
PICTURE = ROOT / "demo" / "media" / "portrait.jpg"
RATE_HZ = 16_000
WIDGETS = {
    "width": 32,
    "height": 32,
    "window_frames": 17,
    "motion_frames": 5,
    "scheduler": "infinitetalk",
    "steps": 1,
}
FOLDERS = ("custom_nodes", "models", "input", "output", "temp", "user")


@dataclass(frozen=True)
class BatchSetup:
    """A folder with all that a batch needs."""

    folder: Path
    comfyui: Path

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def workflow(self) -> Path:
        return self.folder / "tiny.api.json"

    def write_jobs(self, lines: Iterable[Mapping[str, Any]], name: str = "jobs.jsonl") -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def run_arguments(self, jobs: Path, store: Path, *more: str) -> list[str]:
        """The command line of a batch on the CPU."""
        arguments = ["run", str(jobs), "--workflow", str(self.workflow), "--store", str(store)]
        arguments += ["--comfyui", str(self.comfyui), "--python", sys.executable, "--cpus", "1"]
        return [*arguments, "--base-directory", str(self.base), "--min-free-mb", "100", *more]


def make_batch_setup(
    folder: Path, comfyui: Path, seconds: Mapping[str, float], *, models: bool = True
) -> BatchSetup:
    """Make one; `seconds` are the lengths of the sounds, by file name."""
    setup = BatchSetup(folder, comfyui)
    for name in FOLDERS:
        (setup.base / name).mkdir(parents=True)
    (setup.base / "custom_nodes" / "EverTalk").symlink_to(ROOT)
    if models:
        put_wired_models(setup.base / "models")
    (folder / "face.jpg").write_bytes(PICTURE.read_bytes())
    for name, length_s in seconds.items():
        write_sound(folder / name, length_s)
    workflow: dict[str, Any] = json.loads(WORKFLOW.read_text())
    sampler = next(node for node in workflow.values() if node["class_type"] == "EverTalkSampler")
    sampler["inputs"] |= WIDGETS
    setup.workflow.write_text(json.dumps(workflow))
    return setup


def write_sound(path: Path, seconds: float, pauses: Iterable[tuple[float, float]] = ()) -> None:
    """Seeded noise as 16-bit mono, silent in `pauses` (begin, end)."""
    noise = np.random.default_rng(3).normal(0, 0.1, round(seconds * RATE_HZ))
    for begin_s, end_s in pauses:
        noise[round(begin_s * RATE_HZ) : round(end_s * RATE_HZ)] = 0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((noise * 20_000).clip(-32_768, 32_767).astype(np.int16).tobytes())


def batch_environment() -> dict[str, str]:
    """For a program that uses the package without having it installed."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "cluster"), "OMP_NUM_THREADS": "1"}


def batch_command(arguments: Iterable[str]) -> list[str]:
    return [sys.executable, "-m", "evertalk_batch", *arguments]
