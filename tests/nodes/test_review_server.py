"""Pausing, going on and making a window again in the real server, whose cache remembers what it has made."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comfy_client import Event, JobError, TextEvent
from comfy_server import ComfyServer
from kill_runs import sampled_windows, tiny_run, write_speech
from media_check import measure_video

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

SECONDS = 2.3
WINDOWS = 5
"""Of 17 frames, which begin at 0, 12, 24, ..."""

SAMPLER, DECODE = "8", "9"


@pytest.fixture(scope="module")
def server(speaking_server: ComfyServer) -> ComfyServer:
    """The shared server; what it samples is read from its log."""
    write_speech(speaking_server, SECONDS)
    return speaking_server


def queue(
    server: ComfyServer, workflow: dict[str, Any], at_text: Callable[[str], None] | None = None
) -> tuple[list[int], list[str], Path]:
    """Run a workflow: the windows that it made, what it told, and the video that the decode node shows."""
    texts: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, TextEvent):
            texts.append(event.text)
            if at_text is not None:
                at_text(event.text)

    before = len(server.log)
    outcome = server.client.run(workflow, note)
    (shown,) = outcome.outputs[DECODE]["images"]
    video = server.output / shown["subfolder"] / shown["filename"]
    return sampled_windows(server.log[before:]), texts, video


def pause(server: ComfyServer) -> tuple[int, dict[str, Any]]:
    """Ask the running run to pause; the status and the answer."""
    request = urllib.request.Request(f"{server.client.address}/evertalk/pause", b"", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_run_pauses_shows_what_there_is_and_goes_on_when_the_same_workflow_is_queued(
    server: ComfyServer,
) -> None:
    workflow = tiny_run(SECONDS, "steps", pause_after=2)
    made, texts, video = queue(server, workflow)
    assert made == [0, 1]
    assert texts.count("paused after window 2 of 5; queue again to go on") == 2, "by sampler and decode node"
    assert video.name.endswith("_incomplete.mp4")
    assert measure_video(video).num_frames == 17 + 12
    made, texts, video = queue(server, workflow)
    assert made == [2, 3]
    assert measure_video(video).num_frames == 17 + 3 * 12
    made, texts, video = queue(server, workflow)
    assert made == [4]
    assert video.name == "steps_00001_.mp4"
    assert measure_video(video).num_frames == round(SECONDS * 25)
    assert not any("paused" in text for text in texts)
    assert queue(server, workflow)[1] == [], "the finished video comes from the server's cache"


def test_pause_from_the_browser_stops_behind_the_window_that_is_made(server: ComfyServer) -> None:
    workflow = tiny_run(SECONDS, "asked", seed=3)
    answers: list[tuple[int, dict[str, Any]]] = []

    def ask(text: str) -> None:
        if text.startswith("Window 2 of 5, step 1"):
            answers.append(pause(server))

    made, texts, _ = queue(server, workflow, ask)
    ((status, answer),) = answers
    assert status == 200
    assert answer["text"] == "The run pauses after window 2 of 5"
    assert (answer["node"], answer["window"], answer["windows"]) == (SAMPLER, 1, 5)
    assert Path(answer["run_folder"]).is_dir()
    assert made == [0, 1]
    assert "paused after window 2 of 5; queue again to go on" in texts
    made, _, paused_video = queue(server, workflow)
    assert made == [2, 3, 4]
    # The same again in one go, under the same name, since the file holds the workflow.
    for old in server.output.glob("asked_*"):
        old.rename(server.base / "temp" / old.name)
    server.client.forget()
    _, _, video = queue(server, {**workflow})
    kept = server.base / "temp" / paused_video.name
    assert video.read_bytes() == kept.read_bytes()


def test_pause_is_refused_with_a_sentence_when_nothing_runs(server: ComfyServer) -> None:
    status, answer = pause(server)
    assert status == 409
    assert "No EverTalk run is sampling now" in answer["error"]


def test_window_is_made_again_with_another_seed_and_those_before_it_are_taken_over(
    server: ComfyServer,
) -> None:
    queue(server, tiny_run(SECONDS, "rolls", seed=4))
    workflow = tiny_run(SECONDS, "rolls", seed=4, window_seeds="4: 1234")
    made, texts, video = queue(server, workflow)
    assert made == [3, 4]
    assert any(text.startswith("resumed: 3 of 5 windows were finished by rolls_r") for text in texts)
    for old in server.output.glob("rolls_*"):
        old.rename(server.base / "temp" / old.name)
    server.client.forget()
    made, _, scratch = queue(server, workflow)
    assert made == [0, 1, 2, 3, 4]
    assert (server.base / "temp" / video.name).read_bytes() == scratch.read_bytes()


def test_cached_result_whose_file_is_gone_runs_again(server: ComfyServer) -> None:
    workflow = tiny_run(SECONDS, "moved")
    _, _, video = queue(server, workflow)
    content = video.read_bytes()
    assert queue(server, workflow)[1] == [], "the finished video comes from the server's cache"
    video.rename(server.base / "temp" / video.name)
    made, _, again = queue(server, workflow)
    assert made == list(range(WINDOWS)), "a finished run keeps its video, and no windows beside it"
    assert again.read_bytes() == content
    assert queue(server, workflow)[1] == [], "and is in the cache again"


@pytest.mark.parametrize(
    "missing", [("7",), ("3",), (SAMPLER,)], ids=["audio_embeds", "model_loader", "sampler"]
)
def test_graph_without_a_needed_node_is_refused(server: ComfyServer, missing: tuple[str, ...]) -> None:
    """As the editor sends a graph in which a node is muted: it and the links from it are left out."""
    graph = {name: node for name, node in tiny_run(SECONDS, "muted").items() if name not in missing}
    for node in graph.values():
        for name, value in list(node["inputs"].items()):
            if isinstance(value, list) and value[0] in missing:
                del node["inputs"][name]
    with pytest.raises(JobError):
        server.client.run(graph)
    assert not list(server.output.glob("muted*"))


def test_sampler_runs_without_a_node_behind_it_and_another_like_it_tells_of_its_run(
    server: ComfyServer,
) -> None:
    workflow = tiny_run(SECONDS, "alone")
    del workflow[DECODE]
    workflow["80"] = workflow[SAMPLER]
    before = len(server.log)
    outcome = server.client.run(workflow)
    assert sampled_windows(server.log[before:]) == list(range(WINDOWS)), "once"
    files = [outcome.outputs[node]["evertalk"][0]["file"]["filename"] for node in (SAMPLER, "80")]
    assert files == ["alone_00001_.mp4"] * 2
