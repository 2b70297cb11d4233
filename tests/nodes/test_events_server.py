"""What the server tells the browser of a run, in the real server."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from kill_runs import tiny_run, write_speech

if TYPE_CHECKING:
    from comfy_server import ComfyServer

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 1.1
"""28 frames: two windows of 17."""

SAMPLER = "8"


@pytest.fixture
def server(comfy_server: "ComfyServer", tiny_models: Path) -> "ComfyServer":
    """The shared server with the demo's picture and a sound."""
    del tiny_models
    comfy_server.client.upload(ROOT / "demo" / "media" / "portrait.jpg")
    write_speech(comfy_server, SECONDS)
    return comfy_server


async def listen(server: "ComfyServer", workflow: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Our messages of a job to the client that queued it, and to another one."""
    heard: tuple[list[Any], list[Any]] = ([], [])
    client = server.client
    async with aiohttp.ClientSession() as session:
        own = await session.ws_connect(f"{client.address}/ws?clientId={client.client_id}", max_msg_size=0)
        other = await session.ws_connect(f"{client.address}/ws?clientId=another", max_msg_size=0)
        client.queue(workflow)
        async for message in own:
            if message.type == aiohttp.WSMsgType.TEXT:
                parsed = json.loads(message.data)
                if parsed["type"] == "evertalk":
                    heard[0].append(parsed["data"])
                if parsed["type"] in {"execution_success", "execution_error"}:
                    break
        while True:
            try:
                message = await other.receive(timeout=0.5)
            except TimeoutError:
                break
            if message.type == aiohttp.WSMsgType.TEXT and json.loads(message.data)["type"] == "evertalk":
                heard[1].append(message.data)
        await own.close()
        await other.close()
    return heard


def test_run_tells_plan_steps_windows_and_end_to_the_client_that_queued_it(server: "ComfyServer") -> None:
    heard, by_others = asyncio.run(listen(server, tiny_run(SECONDS, "told", seed=4, motion_frames=6)))
    assert by_others == []
    assert {event["node"] for event in heard} == {SAMPLER}
    assert len({event["prompt_id"] for event in heard}) == 1
    assert {event["workflow"] for event in heard} == {None}, "no editor queued it"
    kinds = [event["kind"] for event in heard]
    assert kinds[0] == "plan"
    assert kinds[-1] == "done"
    plan, steps = heard[0], [event for event in heard if event["kind"] == "step"]
    assert (plan["windows"], plan["window"], plan["steps"], plan["seed"]) == (2, 0, 2, 4)
    assert "28 frames, 2 windows" in plan["text"]
    assert [(event["window"], event["step"]) for event in steps] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert all(event["seconds_left"] >= 0 for event in steps)
    assert {event["seed"] for event in steps} == {4}, "a page that was opened meanwhile learns it"
    assert "<title>2 windows: colour drift at most " in heard[-1]["chart"]
    windows = [event for event in heard if event["kind"] == "window"]
    assert [(event["window"], event["start_s"]) for event in windows] == [(0, 0.0), (1, 0.68)]
    assert windows[0]["path"]["filename"] == "w000000.mp4"
    warnings = [event["text"] for event in heard if event["kind"] == "warning"]
    assert "motion_frames 6 became 5: frames come as 4n+1" in warnings
    final = heard[-1]["path"]
    assert final == {"filename": "told_00001_.mp4", "subfolder": "", "type": "output"}
    assert server.client.view(final["filename"])[4:8] == b"ftyp"


def test_latent_result_tells_of_its_window_without_a_file(server: "ComfyServer") -> None:
    write_speech(server, 0.5)
    heard, _ = asyncio.run(listen(server, tiny_run(0.5, "latent", output="latent")))
    (window,) = [event for event in heard if event["kind"] == "window"]
    assert (window["window"], window["windows"], window["path"]) == (0, 1, None)


def ask(server: "ComfyServer", question: object) -> tuple[int, str]:
    """The answer to a question to /evertalk/estimate."""
    body = json.dumps(question).encode()
    address = f"{server.client.address}/evertalk/estimate"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_estimate_is_answered_and_nonsense_refused(server: "ComfyServer") -> None:
    status, answer = ask(server, {"node": SAMPLER, "prompt": tiny_run(SECONDS, "asked")})
    told = json.loads(answer)
    assert status == 200
    assert (told["frames"], told["windows"], told["width"], told["problem"]) == (28, 2, 64, "")
    for nonsense in ({}, [], "text", {"node": SAMPLER, "prompt": {SAMPLER: 3}}):
        status, answer = ask(server, nonsense)
        assert status == 400
        assert "expected a node and a prompt" in answer
