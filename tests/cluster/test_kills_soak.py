"""Thirty jobs on three workers, five of which are killed: the results are those of an undisturbed batch.

Minutes long, so only with EVERTALK_BATCH_SOAK=1 (make soak).
"""

import logging
import os
import random
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from batch_run import (
    attempts_in,
    kill_one,
    results_of,
    resumed_in,
    run_command,
    running,
    started_command,
    wait_until,
)
from batch_setup import BatchSetup, make_batch_setup

LOG = logging.getLogger("evertalk")

JOBS = 30
KILLS = 5
WORKERS = 3
SEED = int(os.environ.get("EVERTALK_KILL_SEED", "1"))
SECONDS = 3.8
LOST_A_KILL = 2
"""The window in the making, and the one before it, which is written meanwhile."""

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        not os.environ.get("EVERTALK_BATCH_SOAK"), reason="set EVERTALK_BATCH_SOAK=1 (minutes)"
    ),
]


@pytest.fixture(scope="module")
def setup(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> BatchSetup:
    return make_batch_setup(tmp_path_factory.mktemp("setup"), comfyui.resolve(), {"talk.wav": SECONDS})


@pytest.fixture(scope="module")
def jobs(setup: BatchSetup) -> Path:
    return setup.write_jobs(
        {"id": f"clip-{number:02}", "picture": "face.jpg", "audio": "talk.wav", "seed": number}
        for number in range(JOBS)
    )


@pytest.fixture(scope="module")
def undisturbed(setup: BatchSetup, jobs: Path) -> Path:
    store = setup.folder / "undisturbed"
    ended = run_command(setup.run_arguments(jobs, store, "--workers", str(WORKERS)), 1800)
    assert ended.code == 0, ended.text
    return store


@pytest.fixture(scope="module")
def killed(setup: BatchSetup, jobs: Path) -> tuple[Path, list[str]]:
    """The store of the disturbed batch, and who was killed."""
    store = setup.folder / "killed"
    log = setup.folder / "killed.log"
    with started_command(setup.run_arguments(jobs, store, "--workers", str(WORKERS)), log) as process:
        kills = list(disturb(process, store, random.Random(SEED)))
        assert process.wait(1800) == 0, log.read_text()
    return store, kills


def disturb(process: subprocess.Popen[bytes], store: Path, draw: random.Random) -> Iterator[str]:
    """Kill in the midst of jobs, spread over the batch."""
    moments = sorted(draw.sample(range(1, JOBS - 2 * WORKERS), KILLS))
    for number, moment in enumerate(moments):

        def in_the_midst(moment: int = moment) -> bool:
            inside = [one for one in running(store) if 2 <= one["window"] < one["windows"]]
            return len(results_of(store)) >= moment and len(inside) >= WORKERS - 1

        victim = ""
        while not victim:  # a job may end before its worker is found
            assert wait_until(in_the_midst, process, 900)
            victim = kill_one(process.pid, draw, worker=number % 5 != 4)
        yield victim


def test_killed_batch_has_the_same_files_and_one_result_a_job(
    undisturbed: Path, killed: tuple[Path, list[str]]
) -> None:
    store, kills = killed
    assert len(kills) == KILLS
    expected, found = results_of(undisturbed), results_of(store)
    assert expected.keys() == found.keys()
    assert len(found) == JOBS
    for job, result in found.items():
        assert result["status"] == "done", result
        assert result["path"] == expected[job]["path"]
        assert (store / result["path"]).read_bytes() == (undisturbed / result["path"]).read_bytes()
        assert len(list((store / result["path"]).parent.glob("*.mp4"))) == 1, (
            "an unfinished video is left over"
        )


def test_no_window_is_computed_again_but_those_in_flight(
    undisturbed: Path, killed: tuple[Path, list[str]]
) -> None:
    store, kills = killed
    results = results_of(store)
    windows = sum(result["windows"] for result in results.values())
    begun = sum(result["windows_begun"] for result in results.values())
    assert windows == sum(result["windows_begun"] for result in results_of(undisturbed).values())
    losses = sum(result["attempts"] - 1 for result in results.values())
    text = "%s: %d windows in the videos, %d begun, %d attempts lost"
    LOG.info(text, kills, windows, begun, losses)
    assert windows < begun <= windows + LOST_A_KILL * KILLS
    for job in results:
        log = store / "logs" / f"{job}.log"
        attempts = attempts_in(log)
        for finished, attempt in zip(resumed_in(log), attempts, strict=True):
            assert attempt[:1] in ([], [finished + 1]), "it goes on behind what was finished"
        for before, after in pairwise(attempts):
            assert len(set(before) & set(after)) <= LOST_A_KILL, log.read_text()


def test_nothing_of_the_batch_lives_on(killed: tuple[Path, list[str]]) -> None:
    store, _ = killed
    left = [
        one.pid
        for one in psutil.process_iter(["cmdline"])
        if str(store) in " ".join(one.info["cmdline"] or [])
    ]
    assert left == []
    assert list((store / "attempts").iterdir()) == []
