"""What a run will need is told, or refused, before weights load, in the real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfy_client import Event, JobError, NodeEvent, TextEvent
from comfy_server import ComfyServer
from kill_runs import prepare, run_folders, tiny_run, write_speech
from small_disk import small_disk_at

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

SECONDS = 2.3
MODEL_LOADER = "EverTalkModelLoader"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB: motion frames alone take more."""
    with small_disk_at(tmp_path / "small", "300k") as folder:
        yield folder


def started(server: ComfyServer) -> ComfyServer:
    prepare(server)
    write_speech(server, SECONDS)
    return server


def test_run_that_the_disk_cannot_hold_is_refused_before_weights_load(
    comfyui: Path, tmp_path: Path, small_disk: Path
) -> None:
    workflow = tiny_run(SECONDS, "talk")
    (loader,) = (name for name, node in workflow.items() if node["class_type"] == MODEL_LOADER)
    began: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, NodeEvent):
            began.append(event.node_id)

    with ComfyServer(comfyui, tmp_path / "base", small_disk) as server:
        started(server)
        with pytest.raises(
            JobError, match=r"the disk of .*small has 0\.3 MB free, but this run of 5 windows"
        ):
            server.client.run(workflow, note)
    assert began
    assert loader not in began
    assert not run_folders(server, "talk")


def test_second_run_is_timed_by_the_first_and_its_manifest_says_so(comfyui: Path, tmp_path: Path) -> None:
    def lines(seed: int) -> list[str]:
        texts: list[str] = []

        def note(event: Event) -> None:
            if isinstance(event, TextEvent) and event.text.startswith("preflight: "):
                texts.append(event.text)

        server.client.run(tiny_run(SECONDS, "talk", seed=seed), note)
        return texts

    with ComfyServer(comfyui, tmp_path) as server:
        started(server)
        (first,) = lines(1)
        assert "5 windows, time unknown: no history yet, RAM" in first
        (second,) = lines(2)
        assert "s by 4 earlier windows" in second
        (again,) = lines(1)
        assert "5 windows (0 left to make), nothing is left to make" in again
        manifests = [
            json.loads((folder / "manifest.json").read_text()) for folder in run_folders(server, "talk")
        ]
    assert sorted(manifest["settings"]["preflight"] for manifest in manifests) == sorted((first, second))
