"""Batches with real servers that take minutes: stopped and gone on with, split, on a disk that fills up."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest
from batch_run import attempts_in, results_of, resumed_in, run_command, running, started_command, wait_until
from batch_setup import BatchSetup, make_batch_setup, write_sound

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not os.environ.get("EVERTALK_BATCH_SOAK"), reason="set EVERTALK_BATCH_SOAK=1 (minutes)"
    ),
]


@pytest.fixture
def setup(comfyui: Path, tmp_path: Path) -> BatchSetup:
    return make_batch_setup(tmp_path, comfyui.resolve(), {"talk.wav": 6.0, "short.wav": 1.2})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB, in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def num_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("how", ["cancel", "Ctrl-C"])
def test_stopped_batch_goes_on_behind_its_finished_windows(setup: BatchSetup, how: str) -> None:
    jobs = setup.write_jobs([{"id": "clip", "picture": "face.jpg", "audio": "talk.wav"}])
    store, log = setup.folder / "store", setup.folder / "run.log"
    arguments = setup.run_arguments(jobs, store)
    with started_command(arguments, log) as process:
        assert wait_until(lambda: any(one["window"] >= 4 for one in running(store)), process, 600)
        if how == "cancel":
            assert run_command(["cancel", "--store", str(store)]).code == 0
        else:
            process.send_signal(signal.SIGINT)
        assert process.wait(120) == 3, log.read_text()
    assert results_of(store) == {}
    assert run_command(arguments).code == 0
    result = results_of(store)["clip"]
    first, second = attempts_in(store / result["log"])
    assert second[0] == resumed_in(store / result["log"])[1] + 1 >= 3
    assert result["windows"] == second[-1] > len(second)
    assert len(first) >= 3


def test_split_job_is_joined_from_runs_of_several_workers(setup: BatchSetup) -> None:
    write_sound(setup.folder / "long.wav", 6.0, [(1.8, 2.6), (3.9, 4.6)])
    jobs = setup.write_jobs(
        [
            {"id": "film", "picture": "face.jpg", "audio": "long.wav"},
            {"id": "clip", "picture": "face.jpg", "audio": "short.wav"},
        ]
    )
    store = setup.folder / "store"
    ended = run_command(setup.run_arguments(jobs, store, "--workers", "2", "--split-s", "2.5"))
    assert ended.code == 0, ended.text
    results = results_of(store)
    assert results["film"]["path"] == "output/film/film.mp4"
    assert num_frames(store / "output" / "film" / "film.mp4") == 150
    assert results["film"]["windows"] == results["film"]["windows_begun"]
    assert num_frames(store / results["clip"]["path"]) == 30
    log = (store / "logs" / "film.log").read_text()
    assert all(f"film~p00{part}: attempt 1" in log for part in range(3))
    assert [one.name for one in (store / "output" / "film").iterdir()] == ["film.mp4"]


def test_batch_pauses_on_a_full_disk_and_goes_on_when_there_is_room(
    setup: BatchSetup, small_disk: Path
) -> None:
    jobs = setup.write_jobs(
        {"id": f"clip-{number}", "picture": "face.jpg", "audio": "short.wav", "seed": number}
        for number in range(3)
    )
    store, log = small_disk / "store", setup.folder / "run.log"
    ballast = small_disk / "ballast"
    arguments = setup.run_arguments(jobs, store, "--workers", "1")
    arguments[arguments.index("--min-free-mb") + 1] = "1"
    with started_command(arguments, log) as process:
        assert wait_until(lambda: bool(running(store)), process, 600)
        free = shutil.disk_usage(small_disk).free
        with suppress(OSError), ballast.open("wb") as file:  # the job writes too
            file.write(b"\0" * free)
        assert wait_until(lambda: "Paused: " in log.read_text(), process, 300)
        ballast.unlink()
        assert process.wait(600) == 0, log.read_text()
    assert "Make room; the batch goes on by itself." in log.read_text()
    assert "The batch goes on." in log.read_text()
    assert {result["status"] for result in results_of(store).values()} == {"done"}
    assert len(results_of(store)) == 3
