"""Times the bundled image workflow in the real server with files of real size.

A row of JSON a variant on stdout, and at the end a table of them on stderr.

    python bench/real_server.py --models /fast/disk/models --variants bf16,fp8_e4m3fn_fast+compile
    python bench/real_server.py --comfyui /path/to/ComfyUI --python /path/to/its/python --models ... \
        --variants fp8_e4m3fn_fast+compile,bf16+lora+--disable-dynamic-vram+--reserve-vram=100
    python bench/real_server.py --tiny        the same on a CPU, small

A variant is words joined by `+`, each of them at most once:
    flashtalk skyreels    that model's folder of parts, in bf16 unless base= follows, and its workflow
    as_stored bf16 fp16 fp8_e4m3fn fp8_e4m3fn_fast fp8_e5m2 fp8_rowwise    the loader's quantization
    compile               compile_blocks            lora                 a LoRA of rank 64 at strength 1
    base=FORM audio=FORM  how the files are stored: fp16 bf16 fp8_e4m3fn fp8_scaled fp8_quant
    attention=NAME        attention_mode            size=WIDTHxHEIGHT    steps=N (of FlashTalk 4 or 2)
    frames=N              of a window
    seconds=S             of sound                  runs=N               queued N times, another seed each
    reserve=GB            the widget                --FLAG --FLAG=VALUE  goes to ComfyUI's main.py
    compute=NAME          the widget                limit=GIB            a GPU made to seem that small
    budget=PERCENT        attention_budget
    profile=N             where the time of window N goes, 0 the first, and of all before a server's second;
                          without torch's profiler, of the windows after N
    gpus=N                every window over N GPUs, by EverTalk Parallel
    voices=2              two people who speak at once, by the bundled workflow for two
    kill=N                after N windows end the server as a crash would, start another, queue again

Each variant has a server of its own, started anew and stopped at its limit; the next goes on after a failure.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "support"), str(ROOT / "bench")]

from comfy_client import (  # noqa: E402
    Event,
    JobError,
    NodeEvent,
    Outcome,
    PackEvent,
    ServerError,
    TextEvent,
)
from comfy_server import ON_CPU, ComfyServer  # noqa: E402
from kill_runs import write_speech  # noqa: E402
from random_files import FileSet  # noqa: E402
from rows import add_server, emit, plain_parser  # noqa: E402
from server_graph import PICTURE, graph_of  # noqa: E402
from server_variants import Variant, VariantError, variant_of  # noqa: E402
from server_watch import Watch, complaints_of, gpu_memory_gb, host_memory_of, lines_of, wait_for_gpu  # noqa: E402

LEAST_S = 25.0
"""Less is not worth starting a server for."""

LAST_LINES = 40
STEP_TEXT, RESUMED = ", step ", "resumed: "
SETTINGS = "EVERTALK_BENCH"
"""As in server_inside.py, which runs where nothing of this folder can be imported."""


@dataclass
class Timeline:
    """When what happened in one job, in seconds since it was queued."""

    started: float = field(default_factory=time.monotonic)
    nodes: dict[str, float] = field(default_factory=dict)
    windows: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    plan: float | None = None
    said: list[str] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """Note an event at the moment it comes."""
        now = time.monotonic() - self.started
        match event:
            case NodeEvent(node_id=node_id):
                self.nodes.setdefault(node_id, now)
            case PackEvent(kind="plan"):
                self.plan = now
            case PackEvent(kind="window"):
                self.windows.append(now)
            case PackEvent(kind="step"):
                self.steps.append(now)
            case TextEvent(text=text) if STEP_TEXT not in text and text not in self.said:
                self.said.append(text)
            case _:
                pass

    def row(self, graph: dict[str, Any]) -> dict[str, Any]:
        """Seconds of loading, of each window and of steps."""
        resumed = next((int(text.split()[1]) for text in self.said if text.startswith(RESUMED)), 0)
        begun = [*([] if self.plan is None else [self.plan]), *self.windows[resumed:]]
        seconds = [round(later - earlier, 2) for earlier, later in pairwise(begun)]
        between = [later - earlier for earlier, later in pairwise(self.steps)]
        return {
            "before_sampling_s": None if self.plan is None else round(self.plan, 2),
            "first_window_s": seconds[0] if seconds else None,
            "window_s": seconds[1:],
            "step_median_s": round(statistics.median(between), 3) if between else None,
            "step_least_s": round(min(between), 3) if between else None,
            "node_at_s": {graph[name]["class_type"]: round(at, 1) for name, at in self.nodes.items()},
            "said": self.said,
        }


def look_of(path: Path) -> dict[str, Any]:
    """Frames of the video, and mean and spread of the last one: noise, not one colour, if all went well."""
    with av.open(str(path)) as container:
        count, last = 0, None
        for frame in container.decode(video=0):
            count, last = count + 1, frame
        assert last is not None, f"{path} has no frame"
        picture = last.to_ndarray(format="gray").astype(np.float32)
    return {"frames": count, "last_mean": float(picture.mean()), "last_spread": float(picture.std())}


def run_once(
    server: ComfyServer, graph: dict[str, Any], limit_s: float, row: dict[str, Any], kill: int = 0
) -> bool:
    """Queue the graph and put what came of it into `row`, also where it fails.

    After `kill` windows the server is ended, if not 0; whether the run came to its end.
    """
    timeline = Timeline()

    def note(event: Event) -> None:
        timeline.note(event)
        if kill and len(timeline.windows) == kill:
            server.kill()

    try:
        outcome: Outcome = server.client.run(graph, note, timeout_s=max(limit_s, 1))
    except (ServerError, JobError):
        if not kill or len(timeline.windows) < kill:
            raise
        row["ended"] = f"killed after {kill} windows"
        return False
    finally:
        row["total_s"] = round(time.monotonic() - timeline.started, 2)
        row |= timeline.row(graph)
    entries = [shown["evertalk"][0] for shown in outcome.outputs.values() if "evertalk" in shown]
    summary = entries[0]
    row["summary"] = {
        name: summary[name]
        for name in (
            "attention",
            "precision",
            "compute",
            "warnings",
            "windows",
            "frames",
            "frames_a_second",
            "is_live",
        )
    }
    row["peak_torch_gb"] = round(summary["peak_vram_bytes"] / 1e9, 2)
    row["peak_ram_gb"] = round(summary["peak_ram_bytes"] / 1e9, 2)
    row["video"] = look_of(Path(summary["path"]))
    return True


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are.

    Attributes:
        comfyui: the folder of ComfyUI.
        python: the Python that runs it.
        models: the folder for model files.
        tiny: on a CPU, with tiny files.
    """

    comfyui: Path
    python: Path
    models: Path
    tiny: bool


def make_files(files: FileSet, place: Place) -> dict[str, Any]:
    """Write what is missing, in a process of its own, which gives its GPU memory back; its row."""
    command = [str(place.python), str(ROOT / "bench" / "random_files.py"), "--models", str(place.models)]
    command += ["--base", files.base_form, "--audio", files.audio_form]
    command += ["--lora"] * files.with_lora + ["--tiny"] * files.is_tiny + ["--whole", files.whole]
    environment = os.environ | {"COMFYUI_DIR": str(place.comfyui)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VariantError(f"the model files could not be written: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def server_of(variant: Variant, place: Place, base: Path, row: dict[str, Any]) -> Generator[ComfyServer]:
    """A server for one variant in the folder `base`; its log's findings go into `row`."""
    known = (place.comfyui / "comfy" / "cli_args.py").read_text(encoding="utf-8")
    flags = [flag for flag in variant.flags if f'"{flag.partition("=")[0]}"' in known]
    row["flags_unknown_to_this_core"] = sorted(set(variant.flags) - set(flags))
    split = [part for flag in flags for part in flag.split("=", 1)]
    if not (base / "models").exists():
        (base / "models").symlink_to(place.models.resolve(), target_is_directory=True)
    inside = variant.inside(base / "profile.json")
    os.environ[SETTINGS] = json.dumps(inside)
    if inside:
        (base / "custom_nodes").mkdir(exist_ok=True)
        shutil.copy(ROOT / "bench" / "server_inside.py", base / "custom_nodes")
    all_flags = [*(ON_CPU if place.tiny else ()), *split]
    server = ComfyServer(place.comfyui, base, flags=all_flags, python=place.python)
    started = time.monotonic()
    try:
        with server:
            row["server_start_s"] = round(time.monotonic() - started, 1)
            shutil.copy(PICTURE, base / "input")
            write_speech(server, variant.seconds)
            yield server
    finally:
        log = server.log
        row["complaints"] = complaints_of(log)
        row["host_memory"] = host_memory_of(log)
        with suppress(FileNotFoundError):
            row.setdefault("profiles", []).append(json.loads((base / "profile.json").read_text()))
            (base / "profile.json").unlink()
        if row.get("ended") != "done":
            row["log_end"] = lines_of(log)[-LAST_LINES:]


def run_variant(variant: Variant, place: Place, limit_s: float) -> dict[str, Any]:
    """One variant's row; whatever goes wrong is in it."""
    ends_at = time.monotonic() + limit_s
    row: dict[str, Any] = {"variant": variant.name, "ended": "not begun"}
    files = variant.files(tiny=place.tiny)
    before_gb = gpu_memory_gb()
    try:
        row["files"] = make_files(files, place)
        with tempfile.TemporaryDirectory(prefix="evertalk_bench_") as folder:
            while not run_server(variant, files, place, Path(folder), ends_at, row):
                wait_for_gpu(before_gb + 0.5, 10)
    except TimeoutError:
        row["ended"] = f"stopped at its limit of {limit_s:.0f} s"
    except Exception as error:  # noqa: BLE001  the next variant goes on
        row["ended"] = f"{type(error).__name__}: {error}"
        row["trace"] = str(getattr(error, "trace", ""))[-3000:]
    wait_for_gpu(before_gb + 0.5, 10)
    return row


def run_server(
    variant: Variant, files: FileSet, place: Place, base: Path, ends_at: float, row: dict[str, Any]
) -> bool:
    """What is left of a variant, in one server; whether nothing is. Raises what ended it before its end."""
    runs: list[dict[str, Any]] = row.setdefault("runs", [])
    with server_of(variant, place, base, row) as server, Watch(server.pid) as watch:
        try:
            row |= versions_of(server)
            for seed in range(variant.runs):
                kill = 0 if runs else variant.kill
                runs.append({})
                graph = graph_of(variant, files, seed)
                if not run_once(server, graph, ends_at - time.monotonic(), runs[-1], kill):
                    return False
            row["ended"] = "done"
            row.pop("log_end", None)
        except TimeoutError:
            server.kill()
            raise
        finally:
            row["most_gb"] = watch.row()
    return True


def table_of(rows: list[dict[str, Any]]) -> str:
    """The rows' main figures for people."""
    lines = ["variant | ended | before, first window s | later windows s | total s | GPU, RAM GB | what ran"]
    for row in rows:
        for run in row.get("runs") or [{}]:
            summary = run.get("summary", {})
            later = run.get("window_s") or []
            median = f"{statistics.median(later):.2f} of {len(later)}" if later else ""
            what = f"{summary.get('attention', {}).get('ran', '')}, {summary.get('precision', '')}"
            begun = f"{run.get('before_sampling_s')}, {run.get('first_window_s')}"
            peaks = f"{row.get('most_gb', {}).get('gpu')}, {run.get('peak_ram_gb')}"
            ended = run.get("ended", row["ended"])
            cells = (row["variant"], ended[:60], begun, median, run.get("total_s"), peaks, what)
            lines.append(" | ".join(str(cell) for cell in cells))
    return "\n".join(lines)


def versions_of(server: ComfyServer) -> dict[str, Any]:
    """What runs: core, Python, torch, device."""
    stats = server.client.system_stats()
    system, device = stats["system"], stats["devices"][0]
    return {
        "core": system["comfyui_version"],
        "python": system["python_version"].split()[0],
        "torch": system["pytorch_version"],
        "device": device["name"],
        "allocator": os.environ.get("PYTORCH_CUDA_ALLOC_CONF", ""),
    }


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = plain_parser(__doc__)
    add_server(parser, 180.0, "one variant", 530.0)
    parser.add_argument("--variants", default="fp8_e4m3fn_fast", help="joined by commas")
    parser.add_argument("--also", default="", help="words for every variant, joined by +, before its own")
    parser.add_argument("server_flags", nargs="*", help="after --: for ComfyUI's main.py, in every variant")
    return parser.parse_args()


def main() -> None:
    """Run the variants; the exit status says whether all came to their end."""
    arguments = read_arguments()
    start = Variant("start", flags=tuple(arguments.server_flags))
    if arguments.tiny:
        start = replace(start, size="64x64", seconds=5.0)
    try:
        start = variant_of(arguments.also, start) if arguments.also else start
        variants = [variant_of(text, start) for text in arguments.variants.split(",")]
    except VariantError as error:
        raise SystemExit(str(error)) from error
    ends_at = time.monotonic() + arguments.seconds
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="evertalk_models_") as fallback:
        if arguments.models is None and not arguments.tiny:
            raise SystemExit("--models FOLDER: 24 GB of files are written there and kept")
        models: Path = arguments.models or Path(fallback)
        place = Place(arguments.comfyui.resolve(), arguments.python.absolute(), models, arguments.tiny)
        for variant in variants:
            left_s = ends_at - time.monotonic()
            row: dict[str, Any] = {"variant": variant.name, "ended": "not begun: no time left"}
            if left_s >= LEAST_S:
                row = run_variant(variant, place, min(arguments.limit, left_s - 5))
            rows.append(row)
            emit(row, arguments.out)
    print(table_of(rows), file=sys.stderr, flush=True)
    raise SystemExit(0 if all(row["ended"] == "done" for row in rows) else 1)


if __name__ == "__main__":
    main()
