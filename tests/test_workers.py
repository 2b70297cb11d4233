"""How the suite is shared among processes: how many, what stays together, what comes first."""

import importlib.util
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from needed import refuse
from workers import LONGEST, TOGETHER, WORKERS, in_order, unit_of, workers_for

ROOT = Path(__file__).resolve().parent.parent
RAN = re.compile(r"^\[(gw\d)\] .* PASSED (\S+)", re.MULTILINE)

EXAMPLE = """
import os
import pytest

@pytest.mark.parametrize("number", range(8))
def test_thread_share(number: int) -> None:
    assert int(os.environ["OMP_NUM_THREADS"]) == max(1, len(os.sched_getaffinity(0)) // 2)
"""


def test_what_a_machine_lacks_is_a_failure_in_ci_and_a_skip_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="CI is set, and there is no browser"):
        refuse("there is no browser")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="there is no browser"):
        refuse("there is no browser")


@pytest.mark.parametrize(
    ("cores", "memory_gb", "workers"),
    [(1, 64.0, 0), (2, 16.0, 2), (2, 8.0, 0), (8, 12.0, 2), (64, 512.0, 4)],
    ids=["one core", "two cores", "too little memory for two", "memory decides", "a large machine"],
)
def test_as_many_workers_as_cores_and_memory_allow(cores: int, memory_gb: float, workers: int) -> None:
    assert workers_for(cores, memory_gb) == workers


def test_what_shares_a_server_an_editor_or_ray_stays_together() -> None:
    gaps, queue = "tests/web/test_gaps.py::test_a", "tests/web/test_queue.py::test_b"
    assert unit_of("tests/test_map.py::test_a[own-1]") == "tests/test_map.py"
    assert unit_of(f"{gaps}[newest]") == unit_of(f"{queue}[1-newest]")
    assert unit_of(f"{gaps}[newest_nodes]") != unit_of(f"{gaps}[newest]")
    assert unit_of(gaps) == unit_of(f"{queue}[own]")
    assert unit_of("tests/cluster/test_cli.py::test_a") == unit_of("tests/cluster/test_batch.py::test_b")
    assert unit_of("tests/demo/test_attention_budget.py::test_a") == unit_of(
        "tests/demo/test_talking.py::test_b"
    )


def test_the_longest_come_first_among_workers_and_files_keep_their_order_without() -> None:
    x, y = "tests/web/x.py::a", "tests/web/y.py::a"
    nodeids = ["tests/a.py::a", f"{x}[own]", f"{x}[newest]", f"{y}[own]"]
    assert in_order(nodeids, is_shared=True) == [1, 3, 2, 0]
    assert in_order(nodeids, is_shared=False) == [0, 1, 3, 2]


def test_what_is_named_is_there() -> None:
    names = [*LONGEST, *TOGETHER, *TOGETHER.values()]
    assert [name for name in names if not (ROOT / name).exists()] == []


def run_in(folder: Path, *arguments: str, workers: str) -> str:
    """What pytest prints of two files of the example, with this plugin."""
    for name in ("one", "two"):
        (folder / f"test_{name}.py").write_text(EXAMPLE)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "workers", "-p", "no:cacheprovider", *arguments]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "OMP_"))
    }
    environment["PYTHONPATH"] = f"{ROOT / 'tests' / 'support'}:{os.environ.get('PYTHONPATH', '')}"
    environment[WORKERS] = workers
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_two_workers_take_whole_files_and_half_of_the_cores_each(tmp_path: Path) -> None:
    if importlib.util.find_spec("xdist") is None:
        refuse("pytest-xdist is not there: make host gets it")
    text = run_in(tmp_path, "-n", "auto", workers="2")
    assert "16 passed" in text, text
    files = defaultdict[str, set[str]](set)
    for worker, nodeid in RAN.findall(text):
        files[nodeid.partition("::")[0]].add(worker)
    assert sorted(files.values(), key=str) == [{"gw0"}, {"gw1"}], text


def test_number_of_workers_that_is_none_is_refused(tmp_path: Path) -> None:
    if importlib.util.find_spec("xdist") is None:
        refuse("pytest-xdist is not there: make host gets it")
    text = run_in(tmp_path, "-n", "auto", workers="two")
    assert "PYTEST_WORKERS=two: expected a number of processes, 0 for the plain way" in text
    assert "Traceback" not in text
