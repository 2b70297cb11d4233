"""Pytest plugin: how many processes run the tests (pytest-xdist), what stays together, what comes first.

`make test` passes `-n auto`: as many workers as cores and memory allow, and the plain way where that is one.
The tests of a file stay in one worker, in their order. Those of `web/` go by the editor that they run in,
with workers and without, so that each editor is opened once.
"""

import importlib
import os
from typing import Any

import psutil
import pytest

WORKERS = "PYTEST_WORKERS"
"""Environment variable: a number of workers to take instead; 0 and 1 are the plain way."""

MOST_WORKERS = 4
GB_FOR_A_WORKER = 5.0
"""What a worker, its servers and its browser take at their most."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
LONGEST = (
    "tests/web/",
    "tests/bench/",
    "tests/cluster/",
    "tests/nodes/test_machine_faults_server.py",
    "tests/nodes/test_kill_and_resume.py",
    "tests/demo/",
    "tests/nodes/test_hostile_prompts_server.py",
    "tests/end_to_end/",
    "tests/nodes/",
    "tests/convert/",
    "tests/wanvideo/",
    "tests/test_parity.py",
    "tests/multitalk/test_fuzz.py",
    "tests/multitalk/runs/",
)
"""What takes longest, the longest first: a file, or a folder. No worker is alone with one at the end."""

TOGETHER = {
    "tests/cluster/": "tests/cluster/",
    "tests/demo/test_attention_budget.py": "tests/demo/test_talking.py",
}
"""What one worker runs, and with what: a machine has one of Ray's clusters at a time; one film is shared."""

WEB = "tests/web/"
EDITORS = ("own", "newest", "newest_nodes")
"""The names of the editors that web/ is tested in; a test without one runs in the first."""


def workers_for(cores: int, memory_gb: float) -> int:
    """How many processes run the tests on a machine; 0 is the plain way, in pytest's own."""
    workers = min(cores, int(memory_gb / GB_FOR_A_WORKER), MOST_WORKERS)
    return workers if workers > 1 else 0


def asked_workers(asked: str) -> int:
    """The number that a person asked for by PYTEST_WORKERS; 0 is the plain way.

    Raises:
        pytest.UsageError: it is not a number of workers.
    """
    if not asked.isdecimal():
        raise pytest.UsageError(f"{WORKERS}={asked}: expected a number of processes, 0 for the plain way")
    return int(asked) if int(asked) > 1 else 0


def unit_of(nodeid: str) -> str:
    """What a test stays together with: its file, what TOGETHER says, in web/ all that runs in its editor."""
    file, _, name = nodeid.partition("::")
    for start, unit in TOGETHER.items():
        if file.startswith(start):
            return unit
    if not file.startswith(WEB):
        return file
    values = name.partition("[")[2].removesuffix("]").split("-")
    return WEB + next((editor for editor in EDITORS if editor in values), EDITORS[0])


def rank(unit: str) -> int:
    """The place of a unit in the order in which workers take them."""
    return next((place for place, start in enumerate(LONGEST) if unit.startswith(start)), len(LONGEST))


def in_order(nodeids: list[str], *, is_shared: bool) -> list[int]:
    """The order in which tests run, as indices: units whole; the longest first if workers share them."""
    first: dict[str, int] = {}
    for index, nodeid in enumerate(nodeids):
        first.setdefault(unit_of(nodeid), index)
    units = [unit_of(nodeid) for nodeid in nodeids]
    keys = [(rank(unit) if is_shared else 0, first[unit], index) for index, unit in enumerate(units)]
    return sorted(range(len(nodeids)), key=keys.__getitem__)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means."""
    asked = os.environ.get(WORKERS)
    if asked is not None:
        return asked_workers(asked)
    return workers_for(len(os.sched_getaffinity(0)), psutil.virtual_memory().available / 1e9)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """pytest-xdist's own scheduler of whole scopes, whose scopes are our units, in the order of the tests."""
    config.option.loadscopereorder = False  # it would sort them by the number of tests
    scheduling = importlib.import_module("xdist.scheduler").LoadScopeScheduling(config, log)
    scheduling._split_scope = unit_of
    return scheduling


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores among the workers: their libraries, servers and tools inherit this."""
    workers = config.getoption("numprocesses", None) or 0
    for name in THREADS if workers > 1 else ():
        os.environ.setdefault(name, str(max(1, len(os.sched_getaffinity(0)) // workers)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests into their order."""
    order = in_order(
        [item.nodeid for item in items], is_shared=os.environ.get("PYTEST_XDIST_WORKER") is not None
    )
    items[:] = [items[index] for index in order]
