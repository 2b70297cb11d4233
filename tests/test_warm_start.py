"""A fork of the Python that has the libraries is what a start of Python would have been."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from comfy_server import environment
from warm_start import Fork, WarmStarts

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks are watched by pidfd")

TELL = """
import json, os, signal, sys
told = {
    "arguments": sys.argv[1:], "path": sys.path[0], "folder": os.getcwd(), "variables": dict(os.environ),
    "input": sys.stdin.read(), "modules": sorted(sys.modules), "name": __name__,
    "signals": [signal.getsignal(one) == signal.SIG_IGN for one in (signal.SIGINT, signal.SIGCHLD)],
    "files": sorted(os.listdir("/proc/self/fd"))[:-1],
}
print(json.dumps(told))
"""
WAIT_S = 300.0


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "scripts" / "main.py"
    path.parent.mkdir()
    path.write_text(TELL)
    return path


def told_by(starts: WarmStarts, script: Path, variables: dict[str, str]) -> tuple[bool, dict[str, object]]:
    """Whether a fork ran the script, and what it told."""
    log = script.with_name("log")
    process = starts.start([sys.executable, str(script), "--cpu"], script.parents[1], variables, log)
    process.wait(WAIT_S)
    return isinstance(process, Fork), json.loads(log.read_text())


def test_fork_is_the_script_as_if_it_had_been_started(warm_starts: WarmStarts, script: Path) -> None:
    variables = environment() | {"OF_THIS_ONE": "1"}
    is_fork, told = told_by(warm_starts, script, variables)
    started = subprocess.run(
        [sys.executable, str(script), "--cpu"],
        cwd=script.parents[1],
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    plain = json.loads(started.stdout)
    assert is_fork
    modules = set(told.pop("modules"))  # pyright: ignore[reportCallIssue, reportArgumentType]  of strings
    assert modules > set(plain.pop("modules")) - {"_sitebuiltins"}
    assert "torch" in modules
    assert not {name for name in modules if name.partition(".")[0] in {"comfy", "evertalk_pack", "nodes"}}
    assert told == plain


def test_variable_that_is_read_at_a_start_means_a_start(warm_starts: WarmStarts, script: Path) -> None:
    told_by(warm_starts, script, environment())
    is_fork, told = told_by(warm_starts, script, environment() | {"OMP_NUM_THREADS": "7"})
    assert not is_fork
    assert isinstance(told["modules"], list)
    assert "torch" not in told["modules"]


def test_fork_can_be_stopped_and_waited_for(warm_starts: WarmStarts, tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)")
    for stop in (Fork.terminate, Fork.kill):
        process = warm_starts.start([sys.executable, str(script)], tmp_path, environment(), tmp_path / "log")
        assert isinstance(process, Fork)
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        stop(process)
        process.wait(WAIT_S)
        assert process.poll() is not None
        stop(process)  # too late, and no matter


def test_script_that_fails_says_why(warm_starts: WarmStarts, tmp_path: Path) -> None:
    nothing = [sys.executable, str(tmp_path / "main.py")]
    warm_starts.start(nothing, tmp_path, environment(), tmp_path / "log").wait(WAIT_S)
    assert "No such file or directory" in (tmp_path / "log").read_text()
