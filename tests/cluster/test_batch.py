"""A batch with Ray and ComfyUI servers on this machine: cancelled, gone on with, tried again.

One story that all tests here share, because the starts of servers take most of its time.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from batch_run import (
    Ended,
    attempts_in,
    results_of,
    resumed_in,
    run_command,
    running,
    started_command,
    wait_until,
)
from batch_setup import BatchSetup, make_batch_setup

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

LONG = ("one", "two")
ATTENTION = "EverTalk Model Loader.attention_mode"
KEPT = re.compile(r"stopped: (\d+) of \d+ windows are finished and kept")


@dataclass(frozen=True)
class Story:
    """A batch of two long jobs, one whose picture vanishes, and a short one."""

    setup: BatchSetup
    jobs: Path

    @property
    def store(self) -> Path:
        return self.setup.folder / "store"

    @property
    def lost(self) -> Path:
        return self.setup.folder / "lost.jpg"

    @property
    def told(self) -> Path:
        return self.setup.folder / "run.log"

    def log(self, job: str) -> Path:
        return self.store / "logs" / f"{job}.log"

    def arguments(self, workers: int) -> list[str]:
        return self.setup.run_arguments(self.jobs, self.store, "--workers", str(workers))

    def bring_picture(self) -> None:
        shutil.copy(self.setup.folder / "face.jpg", self.lost)


@dataclass(frozen=True)
class Stop:
    """What `cancel` did: its own end, the exit code of `run`, and what was left."""

    ended: Ended
    run_code: int
    results: dict[str, dict[str, Any]]
    logs: dict[str, str]
    kept: dict[str, int]


@dataclass(frozen=True)
class SecondRun:
    """How the run after it ended, what it told, and what `status` told in its midst."""

    code: int
    status: Ended
    results: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def story(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    sounds = {"long.wav": 16.0, "short.wav": 1.2}
    setup = make_batch_setup(tmp_path_factory.mktemp("setup"), comfyui.resolve(), sounds)
    lines = [{"id": job, "picture": "face.jpg", "audio": "long.wav"} for job in LONG]
    lines.append({"id": "lost", "picture": "lost.jpg", "audio": "short.wav"})
    lines.append({"id": "short", "picture": "face.jpg", "audio": "short.wav", ATTENTION: "sageattn"})
    return Story(setup, setup.write_jobs(lines))


@pytest.fixture(scope="module")
def stop(story: Story) -> Stop:
    """Two servers in the midst of a job each, and `cancel` from another process."""

    def in_the_midst() -> bool:
        inside = [one for one in running(story.store) if one["key"] in LONG and one["window"] >= 3]
        return len(inside) == len(LONG)

    story.bring_picture()
    with started_command(story.arguments(2), story.told) as process:
        assert wait_until(in_the_midst, process, 300), story.told.read_text()
        ended = run_command(["cancel", "--store", str(story.store)])
        code = process.wait(120)
    logs = {job: story.log(job).read_text() for job in LONG}
    kept = {job: int(found[1]) for job, log in logs.items() if (found := KEPT.search(log))}
    return Stop(ended, code, results_of(story.store), logs, kept)


@pytest.fixture(scope="module")
def second(story: Story, stop: Stop) -> SecondRun:
    """The same batch again, on one worker; a picture vanishes as soon as it works."""
    assert stop.run_code == 3
    with started_command(story.arguments(1), story.told) as process:
        assert wait_until(lambda: any(one["number"] == 2 for one in running(story.store)), process, 300)
        story.lost.unlink()
        status = run_command(["status", "--store", str(story.store)])
        code = process.wait(600)
    return SecondRun(code, status, results_of(story.store))


def test_cancel_interrupts_the_servers_and_keeps_their_windows(stop: Stop) -> None:
    assert stop.ended.code == 0
    assert "its workers interrupt their servers" in stop.ended.text
    assert stop.run_code == 3
    assert stop.results == {}
    for log in stop.logs.values():
        assert "stopped after" in log.splitlines()[-1]
        assert "interrupted in node" in log.splitlines()[-1]
    assert min(stop.kept[job] for job in LONG) >= 2


def test_second_run_goes_on_behind_the_kept_windows(story: Story, stop: Stop, second: SecondRun) -> None:
    for job in LONG:
        result = second.results[job]
        assert result["status"] == "done"
        assert resumed_in(story.log(job)) == [0, stop.kept[job]]
        before, after = attempts_in(story.log(job))
        assert after == list(range(stop.kept[job] + 1, result["windows"] + 1))
        assert result["windows_begun"] == len(before) + len(after)
        assert (story.store / result["path"]).stat().st_size > 1000
    assert "It runs." in second.status.text


def test_vanished_picture_fails_its_job_alone(story: Story, second: SecondRun) -> None:
    assert second.code == 1
    failed = [job for job, result in second.results.items() if result["status"] != "done"]
    assert failed == ["lost"]
    assert len(second.results) == 4
    assert "No such file" in second.results["lost"]["error"]
    assert str(story.lost) in second.results["lost"]["error"]


def test_result_holds_what_the_run_told_of_itself(story: Story, second: SecondRun) -> None:
    short = second.results["short"]
    assert short["windows"] == short["windows_begun"] == 3
    assert short["backend"] == "sdpa"
    assert short["peak_ram_bytes"] > 1e8
    assert short["peak_vram_bytes"] == 0, "from outside, without a GPU, nothing could be told"
    (warning,) = short["warnings"]
    assert "SageAttention not available, falling back to sdpa mode" in warning
    assert second.results["one"]["warnings"] == []
    assert "window 3 of 3" in story.log("short").read_text()


def test_run_of_what_has_results_does_nothing(story: Story, second: SecondRun) -> None:
    again = run_command(story.arguments(1))
    assert again.code == 1
    assert results_of(story.store) == second.results


@pytest.mark.skipif(not os.environ.get("EVERTALK_BATCH_SOAK"), reason="set EVERTALK_BATCH_SOAK=1 (minutes)")
def test_retry_does_what_failed_alone(story: Story, second: SecondRun) -> None:
    story.bring_picture()
    retried = run_command(["retry", "--failed", "--store", str(story.store)])
    assert retried.code == 0, retried.text
    results = results_of(story.store)
    assert results.pop("lost")["status"] == "done"
    assert results == {job: result for job, result in second.results.items() if job != "lost"}
