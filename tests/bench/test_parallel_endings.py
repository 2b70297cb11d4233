"""The bench of endings runs on a CPU, and finds what is left."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import evertalk_pack
import psutil
import pytest

pytestmark = pytest.mark.host

BENCH = Path(evertalk_pack.__path__[0]) / "bench"

PATIENT = ("--limit", "550", "--within", "300", "--seconds", "570")
"""On a machine that others use too."""

LISTENS = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
"""


def test_a_run_that_is_stopped_while_its_workers_load_leaves_nothing_once_memory_is_freed(
    tmp_path: Path,
) -> None:
    out = tmp_path / "rows.jsonl"
    command = [sys.executable, str(BENCH / "parallel_endings.py"), "--tiny", "--only", "stop_early"]
    done = subprocess.run(
        [*command, *PATIENT, "--out", str(out)], check=False, capture_output=True, text=True
    )
    rows: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    setting, row, server = rows
    assert row["wrong"] == []
    assert done.returncode == 0, done.stderr
    assert (setting["gpus"], setting["gpu_gb_before"], server["ended"]) == (2, None, "done")
    assert row["workers"] == 1
    assert row["listening"], "where the ranks meet"
    assert "was interrupted" in row["words"]
    freed = row["left_freed"]
    assert (freed["workers"], freed["ports"], freed["files"]) == (0, [], [])
    assert "stop_early | 1 |" in done.stderr


def test_what_is_left_is_told_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from left_behind import Before, Judge, Left, Seen, listeners

    before = Before([], frozenset())
    (tmp_path / "temp").mkdir()
    (tmp_path / "temp" / "evertalk_parallel_1.safetensors").touch()
    command = [sys.executable, "-c", LISTENS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = ("127.0.0.1", int(process.stdout.readline()))
        assert (address, process.pid) in listeners()
        worker = psutil.Process(process.pid)
        seen = Seen([worker], [worker], {address})
        left = Left.of(seen, tmp_path, before)
        assert Judge(1).none_or_all(left) == [], "it may wait for the next run"
        assert Judge(1).gone(left) == [
            "left: workers 1",
            f"left: ports ['127.0.0.1:{address[1]}']",
            "left: files ['evertalk_parallel_1.safetensors']",
        ]
        seen.end()
        assert Judge(1).gone(Left.of(seen, tmp_path, before)) == [
            "left: files ['evertalk_parallel_1.safetensors']"
        ]


def test_memory_of_every_gpu_is_judged_by_what_may_stay_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from left_behind import Judge, Left

    def left(*gpu_gb_above: float) -> Left:
        return Left(0, 0, [], [], list(gpu_gb_above))

    judge = Judge(1)
    assert judge.without_workers(left(24.0, 0.1)) == [], "the server keeps its models"
    assert judge.without_workers(left(24.0, 0.6)) == ["left: 0.6 GB on GPU 1"]
    assert judge.freed(left(1.2, 0.0)) == []
    assert judge.freed(left(2.4, 0.0)) == ["left: 2.4 GB on GPU 0, expected 1.50 at most"], "it has grown"
    assert judge.gone(left(1.2, 0.0)) == ["left: 1.2 GB on GPU 0, expected 0.30 at most"]
