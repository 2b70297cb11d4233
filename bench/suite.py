"""Runs the benches one after the other, each under a time limit, and keeps every row as soon as it is there.

    python bench/suite.py                              all of them; without CUDA those that need none
    python bench/suite.py --parts first --seconds 560 --out rows.jsonl
                                                       one call of ten minutes on a lent GPU
    python bench/suite.py --tiny                       the same on a CPU, small: a test of the benches

The list is in the order of worth. A bench that is stopped, by its limit or from outside, keeps the rows that
it has printed.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

BENCH = Path(__file__).resolve().parent
LEAST_S = 30.0
"""Less is not worth starting a bench for: the models take as long to build."""

TINY_LIMIT_S = 600.0
"""On a CPU, which other work may share."""


@dataclass(frozen=True)
class Entry:
    """One bench.

    Attributes:
        part: of the suite.
        name: in the rows.
        arguments: script and arguments.
        limit_s: how long it may take.
        tiny: arguments that make it small enough for a CPU, added to the others; None leaves out what others
            try there.
    """

    part: str
    name: str
    arguments: str
    limit_s: float
    tiny: str | None = None


CPU = "--device cpu"
TINY = f"{CPU} --tiny"
ONCE = f"{TINY} --runs 1"
ENTRIES = (
    Entry("cpu", "loop", "cpu.py", 300),
    Entry("cpu", "numerics on a CPU", f"numerics.py {CPU}", 600),
    Entry(
        "first",
        "bf16 compiled",
        "gpu.py --compile --runs 2 --profile --parts one_voice two_voices vae windows",
        210,
        ONCE,
    ),
    Entry(
        "first",
        "fp8 compiled",
        "gpu.py --weights fp8_e4m3fn_fast --compile --runs 2 --profile --parts one_voice two_voices windows",
        170,
    ),
    Entry(
        "first",
        "fp8 rowwise compiled",
        "gpu.py --weights fp8_rowwise --compile --runs 2 --parts one_voice windows",
        150,
        f"{ONCE} --parts host_without_audio one_voice",
    ),
    Entry("first", "numerics", "numerics.py", 120, f"{CPU} --models random"),
    Entry("first", "sparse attention", "sparse_attention.py --runs 3", 100, ONCE),
    Entry("first", "attention", "attention.py", 90, f"{CPU} --scale 256 --runs 1"),
    Entry("first", "speaker map", "speaker_map.py", 60, CPU),
    Entry(
        "second",
        "LoRA offloaded",
        "lora_offload.py --layers 10 --vram-gb 8",
        120,
        f"{ONCE} --layers 2 --vram-gb 1",
    ),
    Entry(
        "second",
        "FlashTalk",
        "flashtalk.py --weights fp8_e4m3fn_fast --compile --windows 6",
        150,
        f"{ONCE} --windows 2",
    ),
    Entry("second", "several GPUs", "parallel.py --weights fp8_e4m3fn_fast --compile --runs 2", 290, ONCE),
    Entry("second", "720p", "gpu.py --compile --size 1280x720 --runs 1 --parts windows", 240),
    Entry("second", "TeaCache", "teacache.py", 90, f"{TINY} --steps 8"),
    Entry("rest", "bf16 eager", "gpu.py", 300),
    Entry("rest", "fp8 eager", "gpu.py --weights fp8_e4m3fn_fast", 300),
    Entry("rest", "VAE", "vae.py", 300, f"{ONCE} --chunks 1 4"),
)
PARTS = tuple(dict.fromkeys(entry.part for entry in ENTRIES))


def command_of(entry: Entry, *, tiny: bool) -> list[str]:
    """What is run. A CPU would compile for minutes what it then computes in milliseconds: it does not."""
    script, *given = entry.arguments.split()
    if tiny:
        given = [one for one in given if one != "--compile"] + (entry.tiny or "").split()
    return [sys.executable, str(BENCH / script), *given]


def row_of(line: str) -> dict[str, Any] | None:
    """A printed line as a row, or None."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None  # pyright: ignore[reportUnknownVariableType]


def run_entry(entry: Entry, command: list[str], limit_s: float, out: TextIO) -> bool:
    """Run one bench; whether it came to its end.

    It and all that it started are stopped at its limit: a compiler's helpers outlive their parent.
    """
    started = time.monotonic()

    def keep(row: dict[str, Any]) -> None:
        at_s = round(time.monotonic() - started, 1)
        out.write(json.dumps({"run": entry.name, "at_s": at_s, **row}) + "\n")
        out.flush()

    # ComfyUI starts so on most NVIDIA GPUs; torch reads it when it is imported.
    environment = {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync", **os.environ}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment
    ) as process:
        timer = threading.Timer(limit_s, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                row = row_of(line)
                if row is not None:
                    keep(row)
            code = process.wait()
        except KeyboardInterrupt:  # it does not reach them: they have a session of their own
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
    was_stopped = code == -signal.SIGKILL and time.monotonic() - started >= limit_s
    keep({"ended": f"stopped at its limit of {limit_s:.0f} s" if was_stopped else f"exit status {code}"})
    return code == 0


def main() -> None:
    """Run what is asked for; the exit status says whether all of it came to its end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--tiny", action="store_true", help="on a CPU, in small")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for all of them together")
    parser.add_argument("--out", type=Path, help="a file to append the rows to; else they are printed")
    arguments = parser.parse_args()
    has_gpu = shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists()
    ends_at = time.monotonic() + arguments.seconds
    are_whole: list[bool] = []
    with arguments.out.open("a", encoding="utf-8") if arguments.out else sys.stdout as out:
        for entry in ENTRIES:
            is_possible = entry.tiny is not None if arguments.tiny else has_gpu or entry.part == "cpu"
            left_s = ends_at - time.monotonic()
            if entry.part not in arguments.parts or not is_possible:
                continue
            if left_s < LEAST_S:
                out.write(json.dumps({"run": entry.name, "ended": "not begun: no time left"}) + "\n")
                are_whole.append(False)
                continue
            command = command_of(entry, tiny=arguments.tiny)
            limit_s = TINY_LIMIT_S if arguments.tiny else entry.limit_s
            are_whole.append(run_entry(entry, command, min(limit_s, left_s), out))
    raise SystemExit(0 if all(are_whole) else 1)


if __name__ == "__main__":
    main()
