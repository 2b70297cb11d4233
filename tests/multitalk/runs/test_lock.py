"""Of all that want a run's folder one gets it, and a holder that is gone keeps nobody out for long."""

import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from evertalk_pack.multitalk.common.errors import RunStoreError
from evertalk_pack.multitalk.runs import lock as run_lock
from evertalk_pack.multitalk.runs.lock import BREAKER_NAME, NAME, Holder, RunLock, this_host

HOLDER = """
import sys, time, types
pack = types.ModuleType("evertalk_pack"); pack.__path__ = [sys.argv[1]]; sys.modules["evertalk_pack"] = pack
from pathlib import Path
from evertalk_pack.multitalk.common.errors import RunStoreError
from evertalk_pack.multitalk.runs.lock import RunLock
folder, seconds = Path(sys.argv[2]), float(sys.argv[3])
try:
    with RunLock(folder):
        count = int((folder / "writers").read_text()) + 1
        (folder / "writers").write_text(str(count))
        print("held", flush=True)
        time.sleep(seconds)
        assert int((folder / "writers").read_text()) == count, "another wrote meanwhile"
except RunStoreError as error:
    print("refused", error, flush=True)
"""
PACK = Path(__file__).resolve().parents[3]


def contender(folder: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLDER, str(PACK), str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def foreign(folder: Path, host: str = "another machine") -> None:
    holder = {"token": "t", "host": host, "pid": 1, "started_s": 0.0}
    (folder / NAME).write_text(json.dumps(holder))


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_lock_is_gone_after_the_block(tmp_path: Path) -> None:
    with RunLock(tmp_path) as lock:
        lock.check()
    assert list(tmp_path.iterdir()) == []


def test_another_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    (tmp_path / "writers").write_text("0")
    with RunLock(tmp_path), contender(tmp_path, 0) as process:
        line = first_line(process)
    assert line.startswith("refused")
    assert f"process {os.getpid()} on " in line


def test_lock_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    (tmp_path / "writers").write_text("0")
    with contender(tmp_path, 60) as process:
        assert first_line(process) == "held\n"
        process.kill()
    started_s = time.monotonic()
    with RunLock(tmp_path):
        pass
    assert time.monotonic() - started_s < run_lock.STALE_S / 2


def test_of_many_that_find_a_stale_lock_one_gets_it_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "writers").write_text("0")
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    stale = {"token": "t", "host": this_host(), "pid": gone.pid, "started_s": 0.0}
    (tmp_path / NAME).write_text(json.dumps(stale))
    processes = [contender(tmp_path, 1.0) for _ in range(6)]
    lines = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 6
    held = sum(line == "held\n" for line in lines)
    assert held >= 1
    assert int((tmp_path / "writers").read_text()) == held
    assert all(line.startswith("refused") for line in lines if line != "held\n")


def test_lock_of_another_machine_is_taken_over_once_it_is_quiet(tmp_path: Path) -> None:
    foreign(tmp_path)
    left: list[float] = []
    with RunLock(tmp_path, left.append, stale_s=0.5) as lock:
        lock.check()
    assert left
    assert 0 < left[0] <= 0.5


def test_lock_of_another_machine_that_beats_is_respected(tmp_path: Path) -> None:
    foreign(tmp_path)

    def beat(_left_s: float) -> None:
        os.utime(tmp_path / NAME)

    with pytest.raises(RunStoreError, match="process 1 on another machine is working on the same run"):
        RunLock(tmp_path, beat).__enter__()


def test_holder_touches_its_lock(tmp_path: Path) -> None:
    with RunLock(tmp_path, beat_s=0.05):
        before = (tmp_path / NAME).stat().st_mtime_ns
        deadline_s = time.monotonic() + 10
        while (tmp_path / NAME).stat().st_mtime_ns <= before:
            assert time.monotonic() < deadline_s, "it is not touched"
            time.sleep(0.01)


def test_holder_that_lost_its_lock_is_told_before_it_writes(tmp_path: Path) -> None:
    with RunLock(tmp_path) as lock:
        foreign(tmp_path)
        with pytest.raises(RunStoreError, match="its lock belongs to process 1 on another machine"):
            lock.check()
    assert (tmp_path / NAME).exists(), "the lock of another is not removed"


def test_holder_whose_folder_is_gone_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "toy.run"
    folder.mkdir()
    with RunLock(folder) as lock:
        (folder / NAME).unlink()
        with pytest.raises(RunStoreError, match="its lock is gone"):
            lock.check()
        folder.rmdir()
        with pytest.raises(FileNotFoundError, match=r"toy\.run"):
            lock.check()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"token": 1}', b"[" * 4096, b"\xff" * 9000])
def test_torn_lock_counts_as_another_machines(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with RunLock(tmp_path, stale_s=0.5) as lock:
        lock.check()


def test_second_lock_that_a_crash_left_is_removed(tmp_path: Path) -> None:
    foreign(tmp_path)
    (tmp_path / BREAKER_NAME).touch()
    with RunLock(tmp_path, stale_s=0.5) as lock:
        lock.check()
    assert list(tmp_path.iterdir()) == []


def test_process_with_the_same_number_but_a_later_start_is_not_the_holder() -> None:
    me = psutil.Process()
    parent = me.ppid()
    started_s = psutil.Process(parent).create_time()
    assert Holder("t", this_host(), parent, started_s - 100).is_gone
    assert not Holder("t", this_host(), parent, started_s).is_gone
    assert Holder("t", this_host(), 2**70, 0.0).is_gone
    assert not Holder("t", "another machine", 2**70, 0.0).is_gone


def test_a_full_disk_leaves_no_lock_that_nobody_holds(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(OSError, match="No space left"), RunLock(small_disk):
        pass
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]
    ballast.unlink()
    began_s = time.monotonic()
    with RunLock(small_disk):
        assert time.monotonic() - began_s < 5, "an empty lock would be watched for half a minute"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_clock_that_was_set_does_not_make_a_living_holder_look_gone(tmp_path: Path, jump_s: float) -> None:
    (tmp_path / "writers").write_text("0")
    process = contender(tmp_path, 5)
    try:
        assert first_line(process) == "held\n"
        lock = tmp_path / NAME
        holder = json.loads(lock.read_text())
        # What another process reckons from the clock's time of the boot, which moves with the clock.
        lock.write_text(json.dumps({**holder, "started_s": holder["started_s"] + jump_s}))
        with pytest.raises(RunStoreError, match="is working on the same run"), RunLock(tmp_path):
            pass
    finally:
        process.kill()
        process.communicate()
    with RunLock(tmp_path) as mine:
        mine.check()


def test_a_disk_that_does_not_answer_is_not_taken_for_a_lock_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> bytes:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with RunLock(tmp_path) as lock:
        with monkeypatch.context() as patch:
            patch.setattr(run_lock, "read_plain", away)
            with pytest.raises(OSError, match="Stale file handle"):
                lock.check()
        lock.check()
