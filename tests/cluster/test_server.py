"""The server that dies with its parent, its refusals, and what is read out of what it tells."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from batch_setup import batch_environment
from evertalk_batch import die_with_parent
from evertalk_batch.attempts import attempts_of
from evertalk_batch.batch_store import BatchStore
from evertalk_batch.server import ComfyServer, ServerSettings, ServerStartError
from evertalk_batch.task import Ending, Task, Upload
from evertalk_batch.usage import Peak
from evertalk_batch.worker import Worker, WorkerSettings, ending_of
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.runs.preflight import Machine, Past, RunShape, check_disk, estimate_run
from evertalk_pack.multitalk.windows.settings import FrameSize

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, sys.argv[1], str(os.getpid()), "sleep", "100"])
print(child.pid, flush=True)
time.sleep(100)
"""


def settings(folder: Path, comfyui: Path) -> ServerSettings:
    return ServerSettings(comfyui, sys.executable, None, folder, start_timeout_s=20)


@pytest.mark.skipif(sys.platform != "linux", reason="a wish to Linux")
def test_server_ends_with_its_worker_however_that_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, die_with_parent.__file__], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        deadline_s = time.monotonic() + 30
        while child.name() != "sleep":
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        parent.kill()
        with suppress(psutil.NoSuchProcess):
            child.wait(10)
        assert not child.is_running()


def test_program_whose_parent_is_gone_does_not_start() -> None:
    command = [sys.executable, die_with_parent.__file__, "1", "echo", "lives"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_folder_without_comfyui_is_refused(tmp_path: Path) -> None:
    server = ComfyServer(settings(tmp_path, tmp_path), tmp_path)
    with pytest.raises(ServerStartError, match=r"holds no main\.py: give ComfyUI's folder"):
        server.ensure()


def test_server_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("raise SystemExit('no such GPU')")
    server = ComfyServer(settings(tmp_path, tmp_path), tmp_path)
    with pytest.raises(ServerStartError, match=r"did not start.*\nno such GPU"):
        server.ensure()
    assert server.has_ended()


def test_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "main.py").touch()
    missing = ServerSettings(tmp_path, "/no/python", None, tmp_path)
    with pytest.raises(ServerStartError, match=r"No such file|/no/python"):
        ComfyServer(missing, tmp_path).ensure()


def test_worker_whose_server_does_not_start_reports_a_lost_server(tmp_path: Path) -> None:
    store = BatchStore(tmp_path / "store")
    store.make()
    worker = Worker(WorkerSettings(settings(tmp_path, tmp_path), store), "worker 1", "here")
    report = worker.run(Task("clip", "clip", {}, (Upload("1", "image", tmp_path / "a", "a"),)))
    worker.close()
    assert report.ending is Ending.SERVER_LOST
    assert "no main.py" in str(report.error)
    assert "clip: attempt 1 on worker 1 on here" in store.log("clip").read_text()
    assert attempts_of(store.attempts, "clip") == []


def test_run_that_a_full_disk_cannot_hold_waits_and_one_that_needs_more_than_there_is_fails(
    tmp_path: Path,
) -> None:
    run = RunShape(21, 1500, 81, 9, FrameSize(480, 832), 21)
    with pytest.raises(InputError) as refused:
        check_disk(estimate_run(run, 0, Past(), 20_000), Machine("", 0, str(tmp_path), 0))
    for min_free_bytes, ending in ((10**18, Ending.DISK_FULL), (0, Ending.FAILED)):
        worker = WorkerSettings(
            settings(tmp_path, tmp_path), BatchStore(tmp_path), min_free_bytes=min_free_bytes
        )
        assert ending_of(f"node 8 (EverTalkSampler): {refused.value}", worker) is ending


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_peaks_are_measured() -> None:
    stats = iter([3, 9, 5])

    def tell() -> dict[str, object]:
        taken = next(stats)
        return {"devices": [{"type": "cuda", "vram_total": 10, "vram_free": 10 - taken}, {"type": "cpu"}]}

    command = [sys.executable, "-c", "x = b'x' * 50_000_000; print(len(x), flush=True); del x; input()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=batch_environment()
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        peak = Peak(process.pid, tell)
        for _ in range(3):
            peak.look()
        assert peak.vram_bytes == 9
        assert peak.ram_bytes is not None
        assert 1e6 < peak.ram_bytes < 2e8
        process.kill()
    assert Peak(process.pid, tell).ram_bytes is None
