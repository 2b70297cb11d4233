"""Faults of a GPU, provoked for real in the real server with files of real size: words, and nothing lost.

A row of JSON a fault on stdout, and at the end a table of them on stderr; exit status 1 where a promise is
broken.

    python bench/gpu_faults.py --models /fast/disk/models
    python bench/gpu_faults.py --models ... --only step,decode,assert
    python bench/gpu_faults.py --tiny        on a CPU, small, memory errors raised and not real

Each fault comes in a film of three short windows, and where it ends the film, the same is queued again. The
faults (`fault_promises.py` says what is promised of each):
    weights      the GPU is full while weights are loaded
    speech encode step decode        it is full whenever that is done, from the second window on
    step once, decode once           it is full at one such call
    NaN step, NaN frames             a prediction, or the frames, of the second window hold a NaN
    process      another process takes all that is free once the first window is written
    assert       the GPU refuses an index, and does nothing more for the server, which is started anew

What fills the GPU is given back at the call's end, the other process ends after a minute at the latest.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "support"), str(ROOT / "bench")]

from comfy_client import JobError, ServerError  # noqa: E402
from fault_promises import FAULTS, SPARE_GB, WINDOWS, GpuFault, Seen, row_of  # noqa: E402
from fault_stand import OTHER_SPEECH_S, REAL, TINY, Ran, Stand, Taker, packets_of  # noqa: E402
from real_server import LAST_LINES, LEAST_S, Place, look_of, make_files, versions_of  # noqa: E402
from rows import add_server, emit, plain_parser  # noqa: E402
from server_watch import lines_of  # noqa: E402

LEAST_SPREAD = 1.0
"""Of a last frame that is not one colour."""

AGAIN_S = 20.0
"""What a server has for an answer whose GPU does nothing more for it."""


def run_with(stand: Stand, fault: GpuFault, graph: dict[str, Any], row: dict[str, Any]) -> Ran:
    """Make a film while a fault comes."""
    if fault.place != "process":
        stand.arm(place=fault.place, kind=fault.kind, after=fault.after, times=fault.times)
        return stand.run(graph)
    taker = Taker(stand.place.python)
    try:
        with taker:
            return stand.run(graph, on_window=taker.take)
    finally:
        row["taken_gb"] = taker.taken_gb


def queued_again(stand: Stand, graph: dict[str, Any]) -> str:
    """What the server answers whose GPU does nothing more for it."""
    try:
        return stand.run(graph, AGAIN_S).error or "went on"
    except (ServerError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"


def provoke(stand: Stand, fault: GpuFault, row: dict[str, Any]) -> None:
    """Provoke a fault in a film of its own, and go on with the film; its row, as far as it comes."""
    prefix = f"fault_{fault.name.replace(' ', '_')}"
    seconds = stand.variant.seconds + (OTHER_SPEECH_S if fault.place == "speech" else 0)
    graph, seen = stand.graph(prefix, seconds), Seen()
    seen.used_gb.append(stand.loaded_gb)
    try:
        if fault.unloads:
            stand.unload()
        ran = run_with(stand, fault, graph, row)
        seen.error, seen.texts, seen.written = ran.error, ran.texts, ran.written
        seen.kept, seen.kept_packets = stand.finished(prefix)
        seen.met = stand.arm()
        if fault.breaks_gpu:
            row["queued_again"] = queued_again(stand, graph)
            stand.end()
        else:
            seen.usable = stand.does_small_job()
            seen.used_gb.append(stand.used_gb())
        if seen.error:
            ran = stand.run(graph)
            seen.made_again = ran.made
            row["next_run"] = ran.error or "done"
            seen.used_gb.append(stand.used_gb())
        if ran.video is not None:
            seen.film_packets = packets_of(ran.video)
        frames = 0 if ran.video is None else look_of(ran.video)["frames"]
        seen.frames = (frames, stand.frames + (fault.place == "speech"))
    finally:
        row |= row_of(fault, seen, on_gpu=not stand.place.tiny)


def begin(stand: Stand) -> dict[str, Any]:
    """A film that nothing disturbs, which the others are compared with; its row."""
    started = time.monotonic()
    ran = stand.run(stand.graph("undisturbed", stand.variant.seconds))
    if ran.video is None:
        raise JobError(ran.error)
    found = look_of(ran.video)
    stand.frames, stand.loaded_gb = found["frames"], stand.used_gb()
    stand.idle_gb = stand.unload()
    row: dict[str, Any] = {"fault": "none", "ended": "done", "frames": stand.frames, "windows": ran.made}
    row |= {"used_gb": [stand.loaded_gb], "idle_gb": stand.idle_gb, "broken": []}
    if found["last_spread"] < LEAST_SPREAD or ran.made != WINDOWS:
        row["broken"] = ["the video is one colour, or has other windows than it should have"]
    return row | versions_of(stand.server) | seconds_since(started)


def end(stand: Stand) -> dict[str, Any]:
    """The memory once all models are in RAM again, as it was before the faults; its row."""
    try:
        idle_gb = stand.unload()
    except Exception as error:  # noqa: BLE001  told as a row
        return lost(stand, "all", error)
    is_kept = idle_gb <= stand.idle_gb + SPARE_GB
    broken = [] if is_kept else [f"GPU memory without models: {stand.idle_gb} GB before, {idle_gb} GB now"]
    return {"fault": "all", "ended": "unloaded", "used_gb": [stand.idle_gb, idle_gb], "broken": broken}


def lost(stand: Stand, name: str, error: Exception) -> dict[str, Any]:
    """The row where something went wrong that nothing was promised of; the server is ended."""
    stand.end()
    broken = [f"{type(error).__name__}: {error}", str(getattr(error, "trace", ""))[-3000:]]
    return {
        "fault": name,
        "ended": "lost",
        "broken": [one for one in broken if one],
        "log_end": lines_of(stand.log)[-LAST_LINES:],
    }


def seconds_since(started: float) -> dict[str, float]:
    """An entry of a row."""
    return {"seconds": round(time.monotonic() - started, 1)}


def try_one(stand: Stand, fault: GpuFault) -> dict[str, Any]:
    """A fault's row; whatever goes wrong is in it."""
    started = time.monotonic()
    row: dict[str, Any] = {}
    if stand.ends_at - started < LEAST_S:
        return {"fault": fault.name, "ended": "not begun: no time left", "broken": ["not tried"]}
    try:
        provoke(stand, fault, row)
    except Exception as error:  # noqa: BLE001  the next fault is tried
        found = lost(stand, fault.name, error)
        row |= found | {"broken": [*found["broken"], *row.get("broken", [])]}
    if row["broken"]:
        row["log_end"] = lines_of(stand.log)[-LAST_LINES:]
    return row | seconds_since(started)


def rows_of(stand: Stand, faults: Iterable[GpuFault]) -> Iterable[dict[str, Any]]:
    """All rows, each as soon as it is there."""
    try:
        yield begin(stand)
    except Exception as error:  # noqa: BLE001  told as a row
        yield lost(stand, "none", error)
        return
    chosen = [*faults]
    for fault in (one for one in chosen if not one.breaks_gpu):
        yield try_one(stand, fault)
    yield end(stand)
    for fault in (one for one in chosen if one.breaks_gpu):
        yield try_one(stand, fault)


def table_of(rows: list[dict[str, Any]]) -> str:
    """The rows' main figures for people."""
    lines = ["fault | ended | windows kept, made by the next run | GPU GB | s | broken | words"]
    for row in rows:
        windows = f"{row.get('windows_kept', '')}, {row.get('made_by_next_run', '')}"
        said = row.get("words") or "; ".join(row.get("said", ()))
        cells = (row["fault"], row["ended"], windows, row.get("used_gb", ""), row.get("seconds", ""))
        lines.append(" | ".join(str(cell) for cell in (*cells, row["broken"] or "nothing", said[:150])))
    return "\n".join(lines)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = plain_parser(__doc__)
    add_server(parser, 60.0, "a run; of a first one twice", 280.0)
    parser.add_argument("--only", default="", help="faults, joined by commas")
    return parser.parse_args()


def chosen_faults(only: str, *, tiny: bool) -> list[GpuFault]:
    """The faults of that name, or all that can be tried; refuses others."""
    possible = {fault.name: fault for fault in FAULTS if fault.is_for_cpu or not tiny}
    names = only.split(",") if only else list(possible)
    for name in names:
        if name not in possible:
            raise SystemExit(
                f"--only {name}: no fault that can be tried here; there are {', '.join(possible)}"
            )
    return [possible[name] for name in names]


def main() -> None:
    """Provoke the faults; the exit status says whether all promises were kept."""
    arguments = read_arguments()
    faults = chosen_faults(arguments.only, tiny=arguments.tiny)
    if arguments.models is None and not arguments.tiny:
        raise SystemExit("--models FOLDER: 24 GB of files are written there and kept")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="evertalk_faults_") as folder:
        models: Path = arguments.models or Path(folder, "models_written")
        place = Place(arguments.comfyui.resolve(), arguments.python.absolute(), models, arguments.tiny)
        base = Path(folder, "server")
        base.mkdir()
        make_files((TINY if place.tiny else REAL).files(tiny=place.tiny), place)
        ends_at = time.monotonic() + arguments.seconds
        with Stand(place, base, ends_at, arguments.limit) as stand:
            for row in rows_of(stand, faults):
                rows.append(row)
                emit(row, arguments.out)
    print(table_of(rows), file=sys.stderr, flush=True)
    raise SystemExit(1 if any(row["broken"] for row in rows) else 0)


if __name__ == "__main__":
    main()
