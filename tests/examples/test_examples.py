"""The example client and the documented curl commands, against the real server with tiny models."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import av
import pytest
from comfy_server import ComfyServer
from server_run import DECODE, SAMPLER, SPEECH, Graph, Stage

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PICTURE = ROOT / "demo" / "media" / "portrait.jpg"
VIDEO_FRAMES = 13
FENCE = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.fixture
def stage(comfy_server: ComfyServer, tiny_models: Path, tmp_path: Path) -> Stage:
    del tiny_models
    comfy_server.client.upload(PICTURE)
    return Stage(comfy_server, tmp_path)


def tiny_workflow(stage: Stage) -> Graph:
    """The demo's graph with two windows; also leaves its speech as a file in the test's folder."""
    speech = stage.speech(VIDEO_FRAMES * 640)
    shutil.copy(stage.server.base / "input" / speech, stage.folder / "voice.wav")
    shutil.copy(PICTURE, stage.folder / "face.jpg")
    graph = stage.graph(speech, window_frames=9, motion_frames=5)
    (stage.folder / "workflow.api.json").write_text(json.dumps(graph), encoding="utf-8")
    return graph


def check(made: dict[str, Any], video: Path) -> None:
    """That an entry describes the video that was downloaded."""
    with av.open(str(video)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert (made["frames"], frames, made["seconds"]) == (VIDEO_FRAMES, VIDEO_FRAMES, VIDEO_FRAMES / 25)
    assert Path(made["path"]).read_bytes() == video.read_bytes()
    assert made["windows"] == made["finished_windows"] == 2
    assert made["is_live"] == (made["frames_a_second"] >= 25)
    assert made["attention"]["ran"]
    assert made["precision"].startswith("weights ")
    assert made["peak_vram_bytes"] == 0
    assert made["peak_ram_bytes"] > 100_000_000
    assert Path(made["run_folder"]).is_dir()


def test_client_has_at_most_80_lines() -> None:
    assert len((EXAMPLES / "client.py").read_text(encoding="utf-8").splitlines()) <= 80


def test_client_uploads_follows_and_downloads(stage: Stage) -> None:
    tiny_workflow(stage)
    command = [sys.executable, str(EXAMPLES / "client.py"), "face.jpg", "voice.wav"]
    command += ["--server", stage.client.address, "--workflow", "workflow.api.json"]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        command, cwd=stage.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    progress, _, made = done.stdout.partition("{")
    assert "window 1/2, step 1/4" in progress
    assert "window 2/2, step 4/4" in progress
    (video,) = stage.folder.glob("*.mp4")
    check(json.loads("{" + made), video)


def test_client_shows_a_refusal(stage: Stage) -> None:
    graph = tiny_workflow(stage)
    graph[SAMPLER]["inputs"]["scheduler"] = "none such"
    (stage.folder / "workflow.api.json").write_text(json.dumps(graph), encoding="utf-8")
    command = [sys.executable, str(EXAMPLES / "client.py"), "face.jpg", "voice.wav"]
    command += ["--server", stage.client.address, "--workflow", "workflow.api.json"]
    done = subprocess.run(command, cwd=stage.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "none such" in done.stderr


def curl_commands(stage: Stage) -> "subprocess.CompletedProcess[str]":
    """The documented commands, run in the test's folder."""
    (commands,) = FENCE.findall((EXAMPLES / "README.md").read_text(encoding="utf-8"))
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=stage.folder,
        env={**os.environ, "SERVER": stage.client.address, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def refused_beside_an_output(stage: Stage) -> Graph:
    """A sampler that is refused, and another end of the workflow, which the server runs all the same."""
    graph = tiny_workflow(stage)
    del graph[SAMPLER]["inputs"]["vae"]
    graph["90"] = {"class_type": "PreviewAny", "inputs": {"source": "kept"}}
    (stage.folder / "workflow.api.json").write_text(json.dumps(graph), encoding="utf-8")
    return graph


def test_client_shows_the_refusal_of_a_part(stage: Stage) -> None:
    graph = refused_beside_an_output(stage)
    body = json.dumps({"prompt": graph}).encode()
    request = urllib.request.Request(f"{stage.client.address}/prompt", body)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200, "so the server says, and runs the rest"
        assert SAMPLER in json.load(answer)["node_errors"]
    command = [sys.executable, str(EXAMPLES / "client.py"), "face.jpg", "voice.wav"]
    command += ["--server", stage.client.address, "--workflow", "workflow.api.json"]
    done = subprocess.run(command, cwd=stage.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "A part of the workflow was refused:",
        f"  node {SAMPLER} (EverTalkSampler): Required input is missing: vae",
    ]
    assert "Traceback" not in done.stderr


def test_client_says_that_nothing_made_a_video(stage: Stage) -> None:
    tiny_workflow(stage)
    graph = {"90": {"class_type": "PreviewAny", "inputs": {"source": "only this"}}}
    (stage.folder / "workflow.api.json").write_text(json.dumps(graph), encoding="utf-8")
    command = [sys.executable, str(EXAMPLES / "client.py"), "face.jpg", "voice.wav"]
    command += ["--server", stage.client.address, "--workflow", "workflow.api.json"]
    done = subprocess.run(command, cwd=stage.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No EverTalk Sampler ran" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_documented_curl_commands_end_at_the_refusal_of_a_part(stage: Stage) -> None:
    refused_beside_an_output(stage)
    done = curl_commands(stage)
    assert done.returncode != 0
    assert "Required input is missing" in done.stderr


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_documented_curl_commands_end_at_a_run_that_fails(stage: Stage) -> None:
    graph = tiny_workflow(stage)
    graph[SAMPLER]["inputs"]["motion_frames"] = 9
    (stage.folder / "workflow.api.json").write_text(json.dumps(graph), encoding="utf-8")
    done = curl_commands(stage)
    assert done.returncode != 0
    assert "motion_frames: 9 frames, expected fewer than window_frames" in done.stderr


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_documented_curl_commands_make_a_video(stage: Stage) -> None:
    graph = tiny_workflow(stage)
    assert "voice" not in graph[SPEECH]["inputs"]["audio"], "the commands put the name in"
    done = curl_commands(stage)
    assert done.returncode == 0, done.stderr
    check(json.loads((stage.folder / "made.json").read_text(encoding="utf-8")), stage.folder / "video.mp4")


def test_every_field_of_the_entry_is_documented(stage: Stage) -> None:
    run = stage.run(tiny_workflow(stage))
    assert run.outcome is not None, run.error
    (made,) = run.outcome.outputs[SAMPLER]["evertalk"]
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in made if f"`{name}" not in page] == []


def test_answer_from_the_cache_holds_the_entry_too(stage: Stage) -> None:
    graph = tiny_workflow(stage)
    first, second = stage.run(graph), stage.run(graph)
    assert first.outcome is not None
    assert second.outcome is not None
    assert SAMPLER in second.outcome.cached_nodes
    (made,) = first.outcome.outputs[SAMPLER]["evertalk"]
    assert first.outcome.outputs[DECODE]["evertalk"] == second.outcome.outputs[DECODE]["evertalk"] == [made]


def test_warnings_of_the_run_are_in_the_entry(stage: Stage) -> None:
    graph = tiny_workflow(stage)
    graph[SAMPLER]["inputs"] |= {"size": "custom", "width": 70, "height": 64}
    run = stage.run(graph)
    assert run.outcome is not None, run.error
    (made,) = run.outcome.outputs[SAMPLER]["evertalk"]
    assert any("width 70 became 64" in warning for warning in made["warnings"]), made["warnings"]
    assert len(made["warnings"]) == len(set(made["warnings"]))
