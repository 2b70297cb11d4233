"""The command line of evertalk-batch."""

import argparse
import math
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from .attempts import read_attempts
from .batch import run_batch, summary
from .batch_store import BatchStore
from .driver import Tally
from .errors import BatchError
from .options import Options, absolute, read_options
from .results import drop_failed, read_results
from .view import ConsoleView, running_line
from .workflow import read_workflow

EXIT_SOME_FAILED = 1
EXIT_REFUSED = 2
EXIT_STOPPED = 3

USUAL = Options(jobs="", workflow="", store="", comfyui="")
"""What holds where the command line says nothing."""


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="evertalk-batch", description="Many EverTalk videos on many servers."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="do all jobs of a file that have no result")
    run.add_argument(
        "jobs", type=Path, help="one JSON object a line: an id, and values for the workflow's inputs"
    )
    run.add_argument("--workflow", type=Path, required=True, help="in API format")
    run.add_argument(
        "--store", type=Path, required=True, help="the batch's folder, on a disk that all nodes see"
    )
    _add_run_options(run)
    retry = commands.add_parser("retry", help="do the failed jobs again, with the options of their run")
    retry.add_argument("--failed", action="store_true", required=True, help="those whose result says failed")
    for name, about in (
        ("status", "how far a batch is"),
        ("cancel", "stop a batch; finished windows are kept, and `run` goes on"),
    ):
        commands.add_parser(name, help=about).add_argument("--store", type=Path, required=True)
    retry.add_argument("--store", type=Path, required=True)
    retry.add_argument("--address", help="another cluster than the run's")
    inputs = commands.add_parser("inputs", help="the names that a job may set")
    inputs.add_argument("--workflow", type=Path, required=True)
    return parser.parse_args(arguments)


def _add_run_options(run: argparse.ArgumentParser) -> None:
    default = os.environ.get("EVERTALK_COMFYUI", "")
    run.add_argument("--address", help="auto, HOST:PORT or ray://HOST:PORT; without, Ray is started here")
    run.add_argument(
        "--workers", type=_positive, default=USUAL.workers, help="servers at once; default: one a GPU"
    )
    run.add_argument(
        "--cpus", type=_amount, default=USUAL.cpus, help="workers without GPU, each on so many CPUs"
    )
    run.add_argument(
        "--comfyui", type=Path, default=default, required=not default, help="its folder (or EVERTALK_COMFYUI)"
    )
    run.add_argument(
        "--python", default="", help="ComfyUI's Python; default: in its .venv or venv, else python3"
    )
    run.add_argument(
        "--base-directory", type=Path, help="with models and custom_nodes; default: ComfyUI's own"
    )
    run.add_argument("--server-args", type=shlex.split, default=[], help='more for each server: "--lowvram"')
    run.add_argument(
        "--min-free-mb", type=_amount, default=USUAL.min_free_mb, help="disk below which the batch pauses"
    )
    run.add_argument(
        "--max-losses", type=_positive, default=USUAL.max_losses, help="workers that one job may take down"
    )
    run.add_argument(
        "--silence-s", type=_amount, default=USUAL.silence_s, help="until a mute server is started anew"
    )
    run.add_argument(
        "--split-s",
        type=_amount,
        default=USUAL.split_s,
        help="cut jobs with longer sound at pauses into parts of about so many seconds, each begun from the "
        "start picture, and join them; off by default",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a whole number from 1 on")
    return int(text)


def _amount(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number from 0 on")
    return number


def options_of(chosen: argparse.Namespace) -> Options:
    """The options that `run` was given."""
    return Options(
        jobs=absolute(chosen.jobs),
        workflow=absolute(chosen.workflow),
        store=absolute(chosen.store),
        comfyui=absolute(Path(chosen.comfyui)),
        python=chosen.python,
        base=absolute(chosen.base_directory) if chosen.base_directory else "",
        server_arguments=tuple(chosen.server_args),
        address=chosen.address,
        workers=chosen.workers,
        cpus=chosen.cpus,
        min_free_mb=chosen.min_free_mb,
        max_losses=chosen.max_losses,
        silence_s=chosen.silence_s,
        split_s=chosen.split_s,
    )


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; gives the exit code."""
    chosen = read_arguments(arguments)
    try:
        match chosen.command:
            case "run":
                return _run(options_of(chosen))
            case "retry":
                return _retry(BatchStore(Path(absolute(chosen.store))), chosen.address)
            case "status":
                return _status(BatchStore(Path(absolute(chosen.store))))
            case "cancel":
                return _cancel(BatchStore(Path(absolute(chosen.store))))
            case _:
                return _inputs(chosen.workflow)
    except BatchError as error:
        _say(f"evertalk-batch: {error}", to_stderr=True)
        return EXIT_REFUSED


def _run(options: Options) -> int:
    # One console: what is told must not tear the bars.
    with ConsoleView(Console(stderr=True)) as view:
        tally = run_batch(options, view)
    return _farewell(BatchStore(Path(options.store)), tally)


def _retry(store: BatchStore, address: str | None) -> int:
    options, _ = read_options(store)
    with store.driving():
        failed = drop_failed(store.results)
    if not failed:
        _say("No job has failed.")
        return 0
    _say(f"Again: {', '.join(failed[:10])}{f' and {len(failed) - 10} more' if len(failed) > 10 else ''}")
    return _run(replace(options, address=address or options.address))


def _farewell(store: BatchStore, tally: Tally) -> int:
    _say(f"{summary(read_results(store.results))}\n{store.results}")
    if tally.stopped:
        _say("The batch was stopped; `evertalk-batch run` with the same options goes on.")
        return EXIT_STOPPED
    if tally.failed:
        _say("`evertalk-batch retry --failed` does the failed ones again.")
    return EXIT_SOME_FAILED if tally.failed else 0


def _status(store: BatchStore) -> int:
    _, total = read_options(store)
    _say(f"{total} jobs; {summary(read_results(store.results))}")
    is_driven = store.is_driven()
    _say("It runs." if is_driven else "It does not run; `evertalk-batch run` goes on.")
    for attempt in sorted(read_attempts(store.attempts), key=lambda one: (one.worker, one.number)):
        if is_driven:
            _say(running_line(attempt))
    return 0


def _cancel(store: BatchStore) -> int:
    store.check_there()
    if not store.is_driven():
        _say("This batch does not run.")
        return 0
    store.cancel.touch()
    _say("The batch stops; its workers interrupt their servers within seconds. Finished windows are kept.")
    return 0


def _inputs(workflow: Path) -> int:
    for name, one in read_workflow(workflow).inputs.items():
        _say(f"{name}: {one.kind.value}")
    return 0


def _say(text: str, *, to_stderr: bool = False) -> None:
    Console(stderr=to_stderr).print(text, markup=False, highlight=False, soft_wrap=True)


def run_and_exit() -> None:
    """What the command `evertalk-batch` calls."""
    sys.exit(main(sys.argv[1:]))
