"""A server that is killed at any moment of a run: queued again, the video is the same to the byte.

`make test` kills at three moments; EVERTALK_KILLS=25 (make soak) at as many.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfy_server import ComfyServer
from kill_runs import (
    Moment,
    finished_windows,
    moments,
    run_folders,
    run_until_killed,
    sampled_windows,
    tiny_run,
    write_speech,
)

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

KILLS = int(os.environ.get("EVERTALK_KILLS", "3"))
SECONDS = 3.8
WINDOWS = 8
SEED = int(os.environ.get("EVERTALK_KILL_SEED", "1"))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server of its own, which may be killed and started again."""
    server = ComfyServer(comfyui, tmp_path_factory.mktemp("killed"))
    with server:
        command = [sys.executable, str(ROOT / "demo" / "make_tiny.py"), "--models", str(server.models)]
        subprocess.run(command, check=True)
        portrait = ROOT / "demo" / "media" / "portrait.jpg"
        (server.base / "input" / "portrait.jpg").write_bytes(portrait.read_bytes())
        for seconds in (SECONDS, SECONDS + 1):
            write_speech(server, seconds)
        yield server


@pytest.fixture(scope="module")
def expected(server: ComfyServer) -> bytes:
    """The video of a run that nobody disturbed."""
    return video_of(server, "whole")


def video_of(server: ComfyServer, prefix: str, seconds: float = SECONDS) -> bytes:
    # Under one name in every run: the file holds the workflow, and with it the prefix.
    for old in (*server.output.glob("talk_*.mp4"), *run_folders(server, "talk")):
        subprocess.run(["mv", str(old), str(server.base / "temp" / f"{prefix}_{old.name}")], check=True)
    server.client.run(tiny_run(seconds, "talk"))
    (video,) = server.output.glob("talk_0*.mp4")
    return video.read_bytes()


def set_aside(server: ComfyServer, name: str) -> None:
    kept = server.base / "temp" / name
    kept.mkdir()
    for old in server.output.glob("talk_*"):
        old.rename(kept / old.name)


@pytest.mark.parametrize("moment", moments(KILLS, SEED), ids=lambda moment: moment.name)
def test_killed_run_goes_on_and_gives_the_same_bytes(
    server: ComfyServer, expected: bytes, moment: Moment, request: pytest.FixtureRequest
) -> None:
    set_aside(server, f"before_{request.node.name}".replace("/", "_"))
    workflow = tiny_run(SECONDS, "talk")
    server.stop()
    server.start()
    killed = run_until_killed(server, workflow, "talk", moment)
    assert killed, f"the run was over before its stage {moment.name} was seen"
    (folder,) = run_folders(server, "talk")
    finished = finished_windows(folder)
    server.start()
    server.client.run(workflow)
    assert sampled_windows(server.log) == list(range(finished, WINDOWS))
    (video,) = server.output.glob("talk_0*.mp4")
    assert video.read_bytes() == expected
    assert sorted(file.suffix for file in folder.iterdir()) == [".json", ".safetensors", ".safetensors"]
