"""Whatever is posted to the pack's routes: an answer, or a refusal with a sentence; never a traceback."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from convert_server import WORKFLOWS
from hostile_routes import GRAPH, JUNK, ROUTES, SAMPLER, places_of

if TYPE_CHECKING:
    from comfy_server import ComfyServer

pytestmark = pytest.mark.host

TORN = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"3",
    b'"text"',
    b"\xff\xfe",
    b"NaN",
    b'{"node": "8", "prompt": {"8": {"class_type": "EverTalkSampler", "inputs": {"width": 1e999}}}}',
    b"[" * 100_000,
    b"9" * 5000,
)


def post(
    comfy_server: "ComfyServer", route: str, body: bytes, kind: str = "application/json"
) -> tuple[int, Any]:
    request = urllib.request.Request(comfy_server.client.address + route, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture
def told(comfy_server: "ComfyServer") -> Iterator[None]:
    """Nothing that a test does leaves a traceback in the server's log."""
    before = len(comfy_server.log)
    yield
    assert "Traceback" not in comfy_server.log[before:]


def checked(status: int, answer: Any, body: object) -> None:
    assert status in (200, 400, 409), (status, answer, body)
    if status != 200:
        assert len(answer["error"]) > 20, (answer, body)
        assert list(answer) == ["error"]


def junk_in(graph: Any, random: Random) -> Any:
    """The graph with one value somewhere in it that does not belong there."""
    mutant = deepcopy(graph)
    place, key = random.choice(list(places_of(mutant)))
    place[key] = deepcopy(random.choice(JUNK))
    return mutant


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("route", ROUTES)
def test_bodies_that_are_no_json_or_no_graph(route: str, comfy_server: "ComfyServer") -> None:
    for body in TORN:
        status, answer = post(comfy_server, route, body)
        checked(status, answer, body)
        assert status == (409 if route.endswith("pause") else 400)
    status, answer = post(comfy_server, route, b"{}", "application/json; charset=no-such-encoding")
    checked(status, answer, "encoding")


@pytest.mark.usefixtures("told")
def test_graphs_with_values_that_do_not_belong_there(comfy_server: "ComfyServer") -> None:
    random = Random(3)
    statuses: set[int] = set()
    for _ in range(400):
        body = json.dumps(junk_in({"node": SAMPLER, "prompt": GRAPH}, random)).encode()
        status, answer = post(comfy_server, "/evertalk/estimate", body)
        checked(status, answer, body)
        statuses.add(status)
    assert statuses == {200, 400}


@pytest.mark.usefixtures("told")
def test_path_outside_of_the_hosts_folders_is_answered_with_a_sentence(comfy_server: "ComfyServer") -> None:
    graph = deepcopy(GRAPH)
    graph["2"]["inputs"]["audio"] = "../../../etc/passwd"
    del graph[SAMPLER]["inputs"]["source"], graph["7"]["inputs"]["speakers"]
    body = json.dumps({"node": SAMPLER, "prompt": graph}).encode()
    status, answer = post(comfy_server, "/evertalk/estimate", body)
    assert status == 200
    assert answer["problem"] == (
        "audio: '../../../etc/passwd' is not a file in ComfyUI's input, output or temp folder. "
        "Choose one that is."
    )


@pytest.mark.usefixtures("told")
def test_workflows_to_convert_with_values_that_do_not_belong_there(comfy_server: "ComfyServer") -> None:
    random = Random(4)
    names = sorted(WORKFLOWS.glob("*.json"))
    for _ in range(60):
        workflow = json.loads(random.choice(names).read_text(encoding="utf-8"))
        body = json.dumps(junk_in(workflow, random)).encode()
        status, answer = post(comfy_server, "/evertalk/convert", body)
        checked(status, answer, "workflow")
