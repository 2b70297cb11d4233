import subprocess
import sys
from pathlib import Path

import pytest
from batch_setup import batch_environment
from evertalk_batch.results import DONE, FAILED, Result, ResultLog, drop_failed, read_results

NO_ROOM = """
import pathlib, resource, signal, sys
from evertalk_batch.results import Result, ResultLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = pathlib.Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, path.stat().st_size + 50))
try:
    ResultLog(path).append([Result("b", "done", "d")])
except OSError as error:
    print(error)
"""


def result(name: str, status: str = DONE) -> Result:
    return Result(
        name, status, "d", f"output/{name}.mp4", 1.5, 3, 4, 2, "worker 1", "sdpa", warnings=("dünn",)
    )


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    log = ResultLog(path)
    log.append([result("a")])
    log.append([result("b", FAILED), result("c")])
    assert list(read_results(path)) == [result("a"), result("b", FAILED), result("c")]


def test_no_file_is_no_results(tmp_path: Path) -> None:
    assert list(read_results(tmp_path / "results.jsonl")) == []


@pytest.mark.parametrize("kept", range(0, 80, 7))
def test_torn_last_line_is_cut_off(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "results.jsonl"
    ResultLog(path).append([result("a")])
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    assert [one.id for one in read_results(path)] == ["a"], "half a line is none"
    ResultLog(path).append([result("b")])
    assert [one.id for one in read_results(path)] == ["a", "b"]


def test_append_that_finds_no_room_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    ResultLog(path).append([result("a")])
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(path)],
        env=batch_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "File too large" in done.stdout
    assert path.read_bytes() == before


def test_failed_jobs_are_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    ResultLog(path).append([result("a"), result("b", FAILED), result("c"), result("d", FAILED)])
    assert drop_failed(path) == ["b", "d"]
    assert [one.id for one in read_results(path)] == ["a", "c"]
    assert drop_failed(path) == []


def test_fields_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    ResultLog(path).append([result("a")])
    path.write_text(path.read_text().replace('"id"', '"mood": 1, "id"'))
    assert [one.id for one in read_results(path)] == ["a"]
