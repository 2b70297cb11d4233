"""A server that is killed at any moment of a run: queued again, the video is the same to the byte.

`make test` kills at three moments; EVERTALK_KILLS=25 (make soak) at as many.
"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from comfy_client import Event, JobError, JobInterruptedError, TextEvent
from comfy_server import ComfyServer, make_base_directory
from kill_runs import (
    Moment,
    finished_windows,
    moments,
    named,
    prepare,
    run_folders,
    run_until_killed,
    sampled_windows,
    tiny_run,
    write_speech,
)
from media_check import measure_video
from tiny_folder import write_flashtalk, write_skyreels

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

KILLS = int(os.environ.get("EVERTALK_KILLS", "3"))
SECONDS = 3.8
WINDOWS = 8
WHOLE_MODELS: dict[str, tuple[Callable[[Path, str], Path], dict[str, Any], int]] = {
    "flashtalk": (write_flashtalk, {"scheduler": "flashtalk_2"}, WINDOWS),
    "skyreels": (write_skyreels, {"scheduler": "skyreels", "window_frames": 33, "motion_frames": 5}, 5),
}
"""Models that are one folder: what writes a tiny one, the sampler's widgets, and how many windows."""

SEED = int(os.environ.get("EVERTALK_KILL_SEED", "1"))


@pytest.fixture(scope="module")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server of its own, which may be killed and started again."""
    server = ComfyServer(comfyui, tmp_path_factory.mktemp("killed"))
    make_base_directory(server.base)
    prepare(server)
    for mode, (write, *_) in WHOLE_MODELS.items():
        write(server.models, f"tiny-{mode}")  # before the start: the host lists models once
    for seconds in (SECONDS, SECONDS + 1):
        write_speech(server, seconds)
    with server:
        yield server


@pytest.fixture(scope="module")
def expected(server: ComfyServer) -> bytes:
    """The video of a run that nobody disturbed."""
    return video_of(server, SECONDS)


@pytest.fixture(autouse=True)
def _clean(server: ComfyServer, request: pytest.FixtureRequest) -> None:
    set_aside(server, request.node.name)


def set_aside(server: ComfyServer, name: str) -> None:
    """Move away what earlier runs left. All have one prefix, since the file holds the workflow."""
    kept = server.base / "aside" / name
    kept.mkdir(parents=True)
    for old in server.output.glob("talk_*"):
        old.rename(kept / old.name)
    server.client.forget()  # it would answer the same workflow from its cache


def restart(server: ComfyServer) -> None:
    server.stop()
    server.start()


def video_of(server: ComfyServer, seconds: float) -> bytes:
    server.client.run(tiny_run(seconds, "talk"))
    (video,) = server.output.glob("talk_0*.mp4")
    content = video.read_bytes()
    set_aside(server, f"whole_{seconds:g}")
    return content


def texts_of(server: ComfyServer, workflow: dict[str, Any]) -> list[str]:
    """What the server tells of a run."""
    texts: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, TextEvent):
            texts.append(event.text)

    server.client.run(workflow, note)
    return texts


def interrupt_at(server: ComfyServer, workflow: dict[str, Any], text: str) -> None:
    def note(event: Event) -> None:
        if isinstance(event, TextEvent) and event.text.startswith(text):
            server.client.interrupt()

    with pytest.raises(JobInterruptedError):
        server.client.run(workflow, note)


def see_killed_run_go_on(
    server: ComfyServer, workflow: dict[str, Any], moment: Moment, expected: bytes, windows: int = WINDOWS
) -> Path:
    """Kill a run of `talk` and queue it again: only what is missing is sampled, the bytes are as expected.

    Returns:
        The run's folder.
    """
    killed = run_until_killed(server, workflow, "talk", moment)
    assert killed, f"the run was over before its stage {moment.name} was seen"
    (folder,) = run_folders(server, "talk")
    finished = finished_windows(folder)
    server.start()
    server.client.run(workflow)
    assert sampled_windows(server.log) == list(range(finished, windows))
    (video,) = server.output.glob("talk_0*.mp4")
    assert video.read_bytes() == expected
    return folder


@pytest.mark.parametrize("moment", moments(KILLS, SEED), ids=lambda moment: moment.name)
def test_killed_run_goes_on_and_gives_the_same_bytes(
    server: ComfyServer, expected: bytes, moment: Moment
) -> None:
    folder = see_killed_run_go_on(server, tiny_run(SECONDS, "talk"), moment, expected)
    assert {file.suffix for file in folder.iterdir()} == {".json", ".safetensors"}


@pytest.mark.parametrize("mode", WHOLE_MODELS)
def test_killed_run_of_a_whole_model_gives_the_same_bytes(server: ComfyServer, mode: str) -> None:
    _, sampler, windows = WHOLE_MODELS[mode]
    workflow = tiny_run(SECONDS, "talk", **sampler)
    loader = next(node for node in workflow.values() if node["class_type"] == "EverTalkModelLoader")
    loader["inputs"] |= {"base_model": f"tiny-{mode}", "talk_model": "in the base model"}
    server.client.run(workflow)
    (video,) = server.output.glob("talk_0*.mp4")
    expected = video.read_bytes()
    set_aside(server, f"whole_{mode}")
    see_killed_run_go_on(server, workflow, Moment("window", named(2), 0.1), expected, windows)
    assert "The first clip, step" not in server.log, "it is kept"


def test_interrupted_run_leaves_a_playable_video_and_goes_on(server: ComfyServer, expected: bytes) -> None:
    workflow = tiny_run(SECONDS, "talk")
    interrupt_at(server, workflow, "Window 4 of 8, step 1")
    (incomplete,) = server.output.glob("talk_*_incomplete.mp4")
    video = measure_video(incomplete)
    assert video.num_frames == 17 + 12 + 12
    assert abs(video.sound.duration_s - video.num_frames / 25) < 0.15
    texts = texts_of(server, workflow)
    assert f"resumed: 3 of {WINDOWS} windows were finished" in texts
    (finished,) = server.output.glob("talk_0*.mp4")
    assert finished.read_bytes() == expected


def test_finished_run_is_found_when_the_server_has_forgotten_it(server: ComfyServer, expected: bytes) -> None:
    workflow = tiny_run(SECONDS, "talk")
    texts_of(server, workflow)
    restart(server)
    texts = texts_of(server, workflow)
    (video,) = server.output.glob("talk_0*.mp4")
    assert f"all {WINDOWS} windows were finished; the video is {video}" in texts
    assert not any(text.startswith("Window ") for text in texts)
    assert video.read_bytes() == expected


def test_other_seed_is_another_run_and_longer_sound_goes_on_behind_the_shorter(server: ComfyServer) -> None:
    interrupt_at(server, tiny_run(SECONDS, "talk"), "Window 6 of 8, step 1")
    texts = texts_of(server, tiny_run(SECONDS, "talk", seed=2))
    assert not any(text.startswith("resumed") for text in texts)
    texts = texts_of(server, tiny_run(SECONDS + 1, "talk"))
    assert any(text.startswith("resumed: 5 of 10 windows were finished by talk_r") for text in texts)
    assert next(text for text in texts if text.startswith("Window ")).startswith("Window 6 of 10")


def test_restart_and_only_finished_do_as_they_say(server: ComfyServer) -> None:
    interrupt_at(server, tiny_run(SECONDS, "talk"), "Window 4 of 8, step 1")
    texts = texts_of(server, tiny_run(SECONDS, "talk", resume="only_finished"))
    assert not any(text.startswith("Window ") for text in texts)
    texts = texts_of(server, tiny_run(SECONDS, "talk", resume="restart"))
    assert next(text for text in texts if text.startswith("Window ")).startswith("Window 1 of 8, step 1")


def test_two_servers_on_one_output_folder_do_not_disturb_each_other(
    server: ComfyServer, expected: bytes, comfyui: Path, tmp_path: Path
) -> None:
    other = ComfyServer(comfyui, tmp_path, server.output)
    for name in ("models", "input"):
        (tmp_path / name).symlink_to(server.base / name)
    workflow = tiny_run(SECONDS, "talk")
    refused: list[str] = []

    def run_there() -> None:
        try:
            other.client.run(workflow)
        except JobError as error:
            refused.append(str(error))

    thread = threading.Thread(target=run_there)

    def start_the_other(event: Event) -> None:
        if isinstance(event, TextEvent) and event.text.startswith("Window 2 of 8, step 1"):
            thread.start()

    with other:
        texts_of_other = texts_of(other, tiny_run(SECONDS, "talk", seed=2))  # its models are loaded then
        server.client.run(workflow, start_the_other)
        thread.join()
    assert texts_of_other
    # Slow as it may be, it is refused while the first works, or finds the finished video after that.
    assert all("is working on the same run" in message for message in refused)
    videos = sorted(server.output.glob("talk_0*.mp4"))
    assert len(videos) == 2, "one of each seed"
    assert videos[1].read_bytes() == expected
