"""A batch with Ray and a ComfyUI server on this machine: a picture that vanishes, a second start, a retry."""

import shutil
from pathlib import Path

import pytest
from batch_run import results_of, run_command, running, started_command, wait_until
from batch_stage import Studio, make_studio

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]


@pytest.fixture
def studio(comfyui: Path, tmp_path: Path) -> Studio:
    return make_studio(tmp_path, comfyui.resolve(), {"talk.wav": 1.2})


def test_vanished_picture_fails_its_job_alone_and_a_retry_does_it(studio: Studio) -> None:
    lost = studio.folder / "lost.jpg"
    shutil.copy(studio.folder / "face.jpg", lost)
    jobs = studio.write_jobs(
        {"id": name, "picture": picture, "audio": "talk.wav", "seed": 1}
        for name, picture in (("first", "face.jpg"), ("second", "lost.jpg"), ("third", "face.jpg"))
    )
    store, log = studio.folder / "store", studio.folder / "run.log"
    arguments = studio.run_arguments(jobs, store, "--workers", "1")
    with started_command(arguments, log) as process:
        assert wait_until(lambda: bool(running(store)), process, 300)
        lost.unlink()
        assert "It runs." in run_command(["status", "--store", str(store)]).text
        assert process.wait(600) == 1, log.read_text()
    results = results_of(store)
    assert {job: result["status"] for job, result in results.items()} == {
        "first": "done",
        "second": "failed",
        "third": "done",
    }
    assert "No such file" in results["second"]["error"]
    assert str(lost) in results["second"]["error"]
    first = results["first"]
    assert (store / first["path"]).stat().st_size > 1000
    assert first["windows"] == first["windows_begun"] == 3
    assert first["peak_ram_bytes"] > 1e8
    assert "window 3 of 3" in (store / first["log"]).read_text()

    again = run_command(arguments)
    assert again.code == 1
    assert results_of(store) == results, "a second start does only what is missing"

    shutil.copy(studio.folder / "face.jpg", lost)
    retried = run_command(["retry", "--failed", "--store", str(store)])
    assert retried.code == 0, retried.text
    assert results_of(store)["second"]["status"] == "done"
    assert results_of(store)["first"] == first
