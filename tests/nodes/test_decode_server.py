"""EverTalkDecode in the real server: it makes what is connected, whatever the host has cached."""

import json
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from comfy_server import ComfyServer, Process, environment
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.media.video_writer import VideoWriter

pytestmark = pytest.mark.host

PACK = Path(__file__).resolve().parent / "decode_source_pack"
HEIGHT, WIDTH, FRAMES = 16, 32, 6
START_S, RUN_S = 120, 60

Graph = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Server:
    base: Path
    port: int

    def get(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def run(self, graph: Graph) -> "Run":
        log_start = len(self.log())
        prompt_id = self.get("/prompt", {"prompt": graph})["prompt_id"]
        deadline = time.monotonic() + RUN_S
        while time.monotonic() < deadline:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                messages = dict(history[prompt_id]["status"]["messages"])
                return Run(history[prompt_id]["outputs"], messages, self.log()[log_start:])
            time.sleep(0.05)
        raise AssertionError(f"no end after {RUN_S} s: {self.log()[-3000:]}")

    def log(self) -> str:
        return (self.base / "server.log").read_text()


@dataclass(frozen=True)
class Run:
    outputs: dict[str, dict[str, Any]]
    messages: dict[str, dict[str, Any]]
    log: str

    @property
    def error(self) -> str:
        return str(self.messages["execution_error"]["exception_message"])

    @property
    def cached(self) -> list[str]:
        return self.messages["execution_cached"]["nodes"]


@pytest.fixture(scope="module")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("comfy")
    for name in ("custom_nodes", "models", "input", "output", "temp", "user"):
        (base / name).mkdir()
    (base / "custom_nodes" / PACK.name).symlink_to(PACK, target_is_directory=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(comfyui.resolve() / "main.py"), "--cpu"]
    command += ["--listen", "127.0.0.1", "--port", str(port)]
    command += ["--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
    process = ComfyServer.start_process(command, base, environment(), base / "server.log")
    try:
        yield wait_until_it_answers(Server(base, port), process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_it_answers(server: Server, process: Process) -> Server:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, server.log()[-3000:]
        try:
            server.get("/queue")
        except OSError:
            time.sleep(0.2)
        else:
            return server
    raise AssertionError(f"no answer after {START_S} s: {server.log()[-3000:]}")


def make_video(server: Server, name: str) -> Path:
    path = server.base / "output" / name
    with VideoWriter(path, WIDTH, HEIGHT, Waveform(torch.zeros(1, 3840), 16000)) as writer:
        writer.write(torch.full((FRAMES, HEIGHT, WIDTH, 3), 0.5))
    return path


def saved_graph(path: Path) -> Graph:
    """1: the sampler's result, 2: decode, with a VAE (9) that fails if it is loaded."""
    return {
        "1": {"class_type": "SourceSavedVideo", "inputs": {"path": str(path)}},
        "9": {"class_type": "SourceVAE", "inputs": {"loads": False}},
        "2": {"class_type": "EverTalkDecode", "inputs": {"samples": ["1", 0], "vae": ["9", 0]}},
    }


def consumer(node_id: str) -> dict[str, Any]:
    return {"class_type": "ShapeOfImages", "inputs": {"images": [node_id, 0]}}


def test_saved_video_needs_no_vae_and_is_not_read_without_a_taker(server: Server) -> None:
    run = server.run(saved_graph(make_video(server, "plain.mp4")))
    preview = {"filename": "plain.mp4", "subfolder": "", "type": "output"}
    assert run.outputs["2"] == {"images": [preview], "animated": [True]}
    assert "Sampler returned decoded video, using directly" in run.log
    assert "frames in memory" not in run.log
    assert "the VAE file was loaded" not in run.log


def test_images_connected_after_a_run_without_them_are_made(server: Server) -> None:
    without = saved_graph(make_video(server, "later.mp4"))
    taken = {**without, "3": consumer("2")}
    assert "execution_success" in server.run(without).messages
    run = server.run(taken)
    assert run.outputs["3"]["shape"] == [FRAMES, HEIGHT, WIDTH, 3]
    assert "1" in run.cached
    assert "2" not in run.cached
    assert f"{FRAMES} frames in memory" in run.log


def test_images_taken_first_and_again_after_a_run_without_them(server: Server) -> None:
    without = saved_graph(make_video(server, "again.mp4"))
    taken = {**without, "3": consumer("2")}
    for graph in (taken, without, taken):
        run = server.run(graph)
        assert "execution_success" in run.messages
        assert ("3" in run.outputs) == ("3" in graph)
    assert run.outputs["3"]["shape"] == [FRAMES, HEIGHT, WIDTH, 3]


def test_unchanged_prompt_is_not_run_again(server: Server) -> None:
    without = saved_graph(make_video(server, "same.mp4"))
    for graph in (without, {**without, "3": consumer("2")}):
        server.run(graph)
        assert {"1", "2"} <= set(server.run(graph).cached)


def test_two_decode_nodes_do_not_mistake_each_others_images(server: Server) -> None:
    graph = saved_graph(make_video(server, "two.mp4"))
    graph["4"] = {"class_type": "EverTalkDecode", "inputs": {"samples": ["1", 0]}}
    for taken_from in ("2", "4", "2"):
        run = server.run({**graph, "3": consumer(taken_from)})
        assert run.outputs["3"]["shape"] == [FRAMES, HEIGHT, WIDTH, 3]
        assert run.log.count("frames in memory") == 1


def test_core_save_video_takes_the_saved_video(server: Server) -> None:
    graph = saved_graph(make_video(server, "source.mp4"))
    inputs = {"video": ["2", 1], "filename_prefix": "copy", "format": "auto", "codec": "auto"}
    graph["5"] = {"class_type": "SaveVideo", "inputs": inputs}
    run = server.run(graph)
    copied = server.base / "output" / run.outputs["5"]["images"][0]["filename"]
    assert copied.stat().st_size > 0
    assert "frames in memory" not in run.log


def test_latents_load_the_vae_and_become_images_and_a_video_with_sound(server: Server) -> None:
    graph = {
        "1": {"class_type": "SourceLatents", "inputs": {"video_frames": 7}},
        "9": {"class_type": "SourceVAE", "inputs": {"loads": True}},
        "2": {"class_type": "EverTalkDecode", "inputs": {"samples": ["1", 0], "vae": ["9", 0]}},
        "3": consumer("2"),
        "6": {"class_type": "GetVideoComponents", "inputs": {"video": ["2", 1]}},
        "7": {"class_type": "PreviewAudio", "inputs": {"audio": ["6", 1]}},
    }
    run = server.run(graph)
    assert run.outputs["3"]["shape"] == [7, 16, 32, 3]
    assert run.outputs["2"]["images"][0]["type"] == "temp"
    assert len(run.outputs["7"]["audio"]) == 1
    assert "the VAE decodes latents of shape (1, 16, 3, 2, 4)" in run.log


def test_latents_without_a_vae_end_in_an_error_that_asks_for_one(server: Server) -> None:
    graph = {
        "1": {"class_type": "SourceLatents", "inputs": {"video_frames": 7}},
        "2": {"class_type": "EverTalkDecode", "inputs": {"samples": ["1", 0]}},
    }
    error = server.run(graph).error
    assert "connect a VAE" in error
    assert "NoneType" not in error


def test_lost_file_is_named(server: Server) -> None:
    path = make_video(server, "lost.mp4")
    path.unlink()
    error = server.run(saved_graph(path)).error
    assert "lost.mp4 is gone" in error
    assert "run the sampler again" in error
