"""Measures what every ending of a run over several GPUs leaves behind: real server, files of real size.

A row of JSON an ending on stdout as soon as it is known, and at the end a table of them on stderr; exit
status 1 where something was left, or a run did not go on.

    python bench/parallel_endings.py --models /fast/disk/models --gpus 2
    python bench/parallel_endings.py --models ... --only worker_killed,worker_hangs --out rows.jsonl
    python bench/parallel_endings.py --tiny         processes of a CPU stand in for GPUs

The endings, in this order:
    well            a run comes to its end, then Free Memory
    stop_early      Stop while the workers load the weights, then Free Memory
    stop            Stop in the middle of a window
    worker_killed   a worker is killed in the middle of a window
    server_killed   the server is killed in the middle of a window
    worker_hangs    a worker is halted in the middle of a window, in a server whose collectives wait for
                    --hang-s; then Free Memory
    server_ended    the server is asked to end while workers are kept for the next run
After the four in a window the same job is queued again, and has to go on behind the finished windows.
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "support"), str(ROOT / "bench")]

from ending_kinds import NAMES  # noqa: E402
from ending_rows import PATIENT_S, Bench, Limits  # noqa: E402
from left_behind import Before  # noqa: E402
from parallel_runs import processes  # noqa: E402
from real_server import LEAST_S, Place, make_files, server_of, versions_of  # noqa: E402
from rows import add_server, emit, plain_parser  # noqa: E402
from server_variants import Variant, VariantError, variant_of  # noqa: E402

REAL = "fp8_e4m3fn_fast+lora+size=640x368"
"""Half the tokens of 832x480: files of real size, and windows that leave time for all endings in one call."""

TINY = "fp8_e4m3fn+lora+size=32x32+frames=17+seconds=1.2"


def table_of(rows: list[dict[str, Any]]) -> str:
    """The rows' main figures for people."""
    lines = [
        "ending | workers | ended s | left: workers, ports, files, GB a GPU, after s | "
        "kept, resumed, frames | wrong"
    ]
    for row in rows:
        left = row.get("left_freed") or row.get("left") or {}
        names = ("workers", "ports", "files", "gpu_gb_above", "settled_s")
        remains = ", ".join(str(left.get(name)) for name in names)
        run = row.get("run", {})
        went_on = (row.get("windows_kept"), row.get("resumed"), run.get("video", {}).get("frames"))
        cells = (row["ending"], row.get("workers"), row.get("ended_s"), remains)
        cells = (*cells, ", ".join(map(str, went_on)), "; ".join(row["wrong"])[:200] or "nothing")
        lines.append(" | ".join(map(str, cells)))
    return "\n".join(lines)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = plain_parser(__doc__)
    add_server(parser, 150.0, "one ending", 530.0)
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--only", default=",".join(NAMES), help="endings, joined by commas")
    parser.add_argument("--also", default="", help=f"words of real_server.py, after {REAL} or {TINY}")
    parser.add_argument("--within", type=float, default=20.0, help="seconds in which a run has to end")
    parser.add_argument("--hang-s", type=int, default=30, help="that a collective waits for a hung worker")
    return parser.parse_args()


def run_endings(
    arguments: argparse.Namespace, names: list[str], variant: Variant, place: Place, base: Path
) -> list[dict[str, Any]]:
    """The rows of the endings, in one server after the other in the folder `base`."""
    rows: list[dict[str, Any]] = []
    ends_at = time.monotonic() + arguments.seconds
    limits = Limits(arguments.within, arguments.hang_s)
    files = variant.files(tiny=place.tiny)
    setting: dict[str, Any] = {"what": "setting", "variant": variant.name, "gpus": variant.gpus}
    setting |= {"files": make_files(files, place)}
    before = Before.now(tiny=place.tiny)
    setting |= {"gpu_gb_before": [round(gb, 2) for gb in before.gpu_gb] or None}
    if not (place.tiny or before.gpu_gb):
        print("nvidia-smi tells nothing: no GPU memory is measured", file=sys.stderr, flush=True)
    server_row: dict[str, Any] = {"what": "server", "ended": "done"}
    with server_of(variant, place, base, server_row) as server:
        emit(setting | versions_of(server), arguments.out)
        bench = Bench(server, variant, files, limits, before)
        for name in names:
            row: dict[str, Any] = {"ending": name, "wrong": ["not begun: no time left"]}
            left_s = ends_at - time.monotonic()
            if left_s >= LEAST_S:
                row = bench.row(name, min(arguments.limit, left_s - 5))
            rows.append(row)
            emit(row, arguments.out)
    emit(server_row, arguments.out)
    return rows


def main() -> None:
    """Bring the endings about; the exit status says whether nothing was left, and all runs went on."""
    arguments = read_arguments()
    names = arguments.only.split(",")
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise SystemExit(f"--only {unknown[0]}: no ending of that name; there are {', '.join(NAMES)}")
    if arguments.models is None and not arguments.tiny:
        raise SystemExit("--models FOLDER: 24 GB of files are written there and kept")
    words = "+".join(filter(None, (TINY if arguments.tiny else REAL, arguments.also)))
    try:
        variant = variant_of(words, Variant("start"))
    except VariantError as error:
        raise SystemExit(str(error)) from error
    # kill: the graph then says resume `auto`.
    variant = replace(variant, gpus=arguments.gpus, kill=1)
    with ExitStack() as stack:
        stack.enter_context(processes(arguments.gpus, PATIENT_S))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evertalk_endings_")))
        (folder / "server").mkdir()
        models: Path = arguments.models or folder / "files"
        place = Place(arguments.comfyui.resolve(), arguments.python.absolute(), models, arguments.tiny)
        rows = run_endings(arguments, names, variant, place, folder / "server")
    print(table_of(rows), file=sys.stderr, flush=True)
    raise SystemExit(1 if any(row["wrong"] for row in rows) else 0)


if __name__ == "__main__":
    main()
