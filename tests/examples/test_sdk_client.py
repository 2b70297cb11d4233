"""The example client for Comfy API v2 through comfy-api-proxy, against the real server with tiny models."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from comfy_server import ComfyServer, free_port
from server_run import SAMPLER, Graph, Stage, frames_of

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "docs" / "examples" / "sdk_client.py"
PICTURE = ROOT / "demo" / "media" / "portrait.jpg"
VIDEO_FRAMES = 49
"""Twelve windows: long enough to be stopped within."""

PYTHON = os.environ.get("EVERTALK_SDK_PYTHON", sys.executable)
"""One that has the two packages; the environment names it where this one has not."""

START_TIMEOUT_S = 60
ARE_THERE = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
PACKAGES = ("comfy_sdk", "comfy_api_proxy")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def proxy(comfy_server: ComfyServer) -> "Iterator[str]":
    """The address of a comfy-api-proxy before the shared server."""
    if subprocess.run([PYTHON, "-c", ARE_THERE, *PACKAGES], check=False).returncode:
        pytest.skip("needs comfy-sdk and comfy-api-proxy, which requirements/dev.txt pins")
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [PYTHON, "-m", "comfy_api_proxy.cli", "--comfyui", comfy_server.client.address]
    log = comfy_server.base / "proxy.log"
    with (
        log.open("wb") as out,
        subprocess.Popen([*command, "--port", str(port)], stdout=out, stderr=out) as process,
    ):
        try:
            wait_for(address, process, log)
            yield address
        finally:
            process.terminate()


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not answers(address):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.1)


def answers(address: str) -> bool:
    try:
        DIRECT.open(f"{address}/api/v2/health", timeout=5).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class SdkStage:
    """The shared server, the proxy before it and a folder of the test's own."""

    stage: Stage
    proxy: str

    def command(self, graph: Graph) -> list[str]:
        (self.stage.folder / "workflow.api.json").write_text(json.dumps(graph), encoding="utf-8")
        command = [PYTHON, str(CLIENT), "face.jpg", "voice.wav", "--server", self.proxy]
        return [*command, "--workflow", "workflow.api.json"]

    def run(self, graph: Graph) -> "subprocess.CompletedProcess[str]":
        """The client's end, and what it said."""
        command = self.command(graph)
        return subprocess.run(
            command,
            cwd=self.stage.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def environment() -> dict[str, str]:
    """This one, without a key of the person who runs the tests, and without a proxy between."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COMFY_API_KEY", "PYTHONPATH")}
    return {**kept, "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def sdk(comfy_server: ComfyServer, tiny_models: Path, proxy: str, tmp_path: Path) -> SdkStage:
    del tiny_models
    return SdkStage(Stage(comfy_server, tmp_path), proxy)


def workflow(sdk: SdkStage) -> Graph:
    """The demo's graph; its picture and speech lie as files in the test's folder, no longer on the server."""
    speech = sdk.stage.speech(VIDEO_FRAMES * 640)
    shutil.move(sdk.stage.server.base / "input" / speech, sdk.stage.folder / "voice.wav")
    shutil.copy(PICTURE, sdk.stage.folder / "face.jpg")
    return sdk.stage.graph("voice.wav", window_frames=9, motion_frames=5)


def can_cancel(sdk: SdkStage) -> bool:
    """Whether this ComfyUI has the route that comfy-api-proxy cancels by."""
    address = f"{sdk.stage.client.address}/api/jobs/{uuid.uuid4()}/cancel"
    try:
        DIRECT.open(urllib.request.Request(address, b"{}"), timeout=60).close()
    except urllib.error.HTTPError:
        return False
    return True


def test_client_has_at_most_80_lines() -> None:
    assert len(CLIENT.read_text(encoding="utf-8").splitlines()) <= 80


def test_client_uploads_follows_and_downloads(sdk: SdkStage) -> None:
    done = sdk.run(workflow(sdk))
    assert done.returncode == 0, done.stderr
    first, *steps, last = done.stdout.splitlines()
    assert any(line.startswith(f"node {SAMPLER}: step ") for line in steps), done.stdout
    (video,) = sdk.stage.folder.glob("*.mp4")
    assert Path(last).read_bytes() == video.read_bytes()
    assert len(frames_of(video)) == VIDEO_FRAMES
    record = sdk.stage.client.history(first.removeprefix("job "))
    (made,) = record["outputs"][SAMPLER]["evertalk"]
    assert Path(made["path"]).read_bytes() == video.read_bytes()


def test_ctrl_c_stops_where_the_host_can_and_the_same_command_finishes(sdk: SdkStage) -> None:
    graph = workflow(sdk)
    # So many steps that the run still goes on when a busy machine brings the signal.
    graph[SAMPLER]["inputs"] |= {"scheduler": "infinitetalk", "steps": 20}
    command = sdk.command(graph)
    # What a shell starts in the background ignores Ctrl+C, and so would the client.
    with subprocess.Popen(
        ["env", "--default-signal=INT", *command],
        cwd=sdk.stage.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"node {SAMPLER}: step "):
                process.send_signal(signal.SIGINT)
                break
        said, complaint = process.communicate(timeout=300)
    assert "asked the server to stop: " in said
    if can_cancel(sdk):
        assert process.returncode == 1
        assert "Stopped (canceled). Run it again" in complaint
        assert not list(sdk.stage.folder.glob("*.mp4"))
    else:
        assert (process.returncode, complaint) == (0, ""), "the run goes on, and its video comes"
        assert list(sdk.stage.folder.glob("*.mp4"))
    again = subprocess.run(
        command, cwd=sdk.stage.folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert len(frames_of(Path(again.stdout.splitlines()[-1]))) == VIDEO_FRAMES


def test_client_shows_a_refusal(sdk: SdkStage) -> None:
    graph = workflow(sdk)
    del graph[SAMPLER]["inputs"]["vae"]
    done = sdk.run(graph)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"\n  node {SAMPLER}: Required input is missing: vae" in done.stderr
    assert "Traceback" not in done.stderr


def test_client_says_why_a_run_failed(sdk: SdkStage) -> None:
    graph = workflow(sdk)
    graph[SAMPLER]["inputs"]["motion_frames"] = 9
    done = sdk.run(graph)
    assert done.returncode == 1
    assert f"Node {SAMPLER} (EverTalkSampler) failed: motion_frames: 9 frames, expected fewer" in done.stderr
    assert "Traceback" not in done.stderr


def test_client_says_that_a_refused_part_left_no_video(sdk: SdkStage) -> None:
    graph = workflow(sdk)
    del graph[SAMPLER]["inputs"]["vae"]
    graph["90"] = {"class_type": "PreviewAny", "inputs": {"source": "kept"}}
    done = sdk.run(graph)
    assert done.returncode == 1
    assert done.stderr == "No video. If a part of the workflow was refused, the log of ComfyUI names it.\n"
    assert "Required input is missing: vae" in sdk.stage.server.log


def test_client_says_that_no_proxy_answers(sdk: SdkStage) -> None:
    elsewhere = SdkStage(sdk.stage, f"http://127.0.0.1:{free_port()}")
    done = elsewhere.run(workflow(sdk))
    assert done.returncode == 1
    assert "onnection refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_an_address_nothing_goes_to_the_cloud(sdk: SdkStage) -> None:
    done = SdkStage(sdk.stage, "").run(workflow(sdk))
    assert done.returncode == 1
    assert done.stderr == "--server: '', expected an address such as http://127.0.0.1:8189.\n"


def test_client_says_that_a_workflow_is_the_editors(sdk: SdkStage) -> None:
    workflow(sdk)
    done = sdk.run(json.loads((ROOT / "workflows" / "demo_tiny.json").read_text(encoding="utf-8")))
    assert done.returncode == 1
    assert "API" in done.stderr
    assert "Traceback" not in done.stderr


def test_client_says_that_a_file_is_missing(sdk: SdkStage) -> None:
    graph = workflow(sdk)
    (sdk.stage.folder / "face.jpg").unlink()
    done = sdk.run(graph)
    assert done.returncode == 1
    assert "No such file or directory: 'face.jpg'" in done.stderr
    assert "Traceback" not in done.stderr
