"""A file that the editor asks for when it has just been removed, at the real server."""

import urllib.error
import urllib.request

import pytest
from comfy_server import ComfyServer

pytestmark = pytest.mark.host


def status_of(server: ComfyServer, path: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{server.client.address}{path}") as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("route", ["/view", "/api/view"])
def test_marked_file_that_is_gone_is_answered_with_nothing(comfy_server: ComfyServer, route: str) -> None:
    query = "?filename=w000001.mp4&subfolder=gone.run&type=output"
    assert status_of(comfy_server, f"{route}{query}&evertalk=1") == 204
    assert status_of(comfy_server, f"{route}{query}") == 404, "whoever does not ask so is told so"


def test_marked_file_that_is_there_and_one_outside_are_answered_as_ever(comfy_server: ComfyServer) -> None:
    (comfy_server.output / "here.txt").write_text("here")
    assert status_of(comfy_server, "/view?filename=here.txt&type=output&evertalk=1") == 200
    assert status_of(comfy_server, "/view?filename=..%2Fx&type=output&evertalk=1") == 400
    assert status_of(comfy_server, "/view?filename=x&subfolder=..&type=output&evertalk=1") == 403
