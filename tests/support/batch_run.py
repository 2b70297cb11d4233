"""Runs the command evertalk-batch in a process of its own, looks at it, and disturbs it."""

import json
import random
import re
import subprocess
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from batch_setup import batch_command, batch_environment

BEGUN = re.compile(r"(\S+): attempt (\d+) on|(?:^|\s)window (\d+) of \d+$|resumed: (\d+) of")


ACTOR_AT_WORK = "_Actor.run"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    text: str


def run_command(arguments: Iterable[str], timeout_s: float = 600) -> Ended:
    """Run it and wait for its end."""
    done = subprocess.run(
        batch_command(arguments),
        env=batch_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Ended(done.returncode, done.stdout)


@contextmanager
def started_command(arguments: Iterable[str], log: Path) -> Generator[subprocess.Popen[bytes]]:
    """Start it; it is ended with the block."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            batch_command(arguments), env=batch_environment(), stdout=file, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def results_of(store: Path) -> dict[str, dict[str, Any]]:
    """The results by id, of which none stands twice."""
    lines = (store / "results.jsonl").read_text().splitlines() if (store / "results.jsonl").exists() else []
    results = [json.loads(line) for line in lines]
    by_id = {result["id"]: result for result in results}
    assert len(by_id) == len(results), "exactly one result a job"
    return by_id


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether it came true before the process ended."""
    deadline_s = time.monotonic() + timeout_s
    while process.poll() is None:
        if condition():
            return True
        assert time.monotonic() < deadline_s, "it came not true in time"
        time.sleep(0.05)
    return False


def running(store: Path) -> list[dict[str, Any]]:
    """The attempts that are told of now."""
    found: list[dict[str, Any]] = []
    for path in (store / "attempts").glob("*.json"):
        with suppress(FileNotFoundError, ValueError):
            found.append(json.loads(path.read_text()))
    return found


def servers_of(driver: int) -> list[psutil.Process]:
    """The ComfyUI servers below a driver."""
    found: list[psutil.Process] = []
    for process in psutil.Process(driver).children(recursive=True):
        with suppress(psutil.Error):
            command = process.cmdline()
            is_server = any(part.endswith("main.py") for part in command)
            if is_server and "die_with_parent" not in " ".join(command):
                found.append(process)
    return found


def kill_one(driver: int, draw: random.Random, *, worker: bool) -> str:
    """Kill the process of a random worker that has a job, or its server; says which, "" if none has one."""
    servers = [one for one in sorted(servers_of(driver), key=lambda one: one.pid) if _has_job(one)]
    if not servers:
        return ""
    server = draw.choice(servers)
    victim = server.parent() if worker else server
    if victim is None:
        return ""
    victim.kill()
    return f"{'worker' if worker else 'server'} {victim.pid}"


def _has_job(server: psutil.Process) -> bool:
    """Ray names an actor's process after the method that it runs."""
    with suppress(psutil.Error):
        parent = server.parent()
        return parent is not None and ACTOR_AT_WORK in " ".join(parent.cmdline())
    return False


def attempts_in(log: Path) -> list[list[int]]:
    """The windows that each attempt of a job began, counted from 1, from the job's log."""
    attempts: list[list[int]] = []
    for line in log.read_text().splitlines():
        found = BEGUN.search(line)
        if found and found[2]:
            attempts.append([])
        elif found and found[3]:
            attempts[-1].append(int(found[3]))
    return attempts


def resumed_in(log: Path) -> list[int]:
    """How many windows each attempt found finished; 0 also for one that was lost before it looked."""
    finished: list[int] = []
    for line in log.read_text().splitlines():
        found = BEGUN.search(line)
        if found and found[2]:
            finished.append(0)
        elif found and found[4]:
            finished[-1] = int(found[4])
    return finished
