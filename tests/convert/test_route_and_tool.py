"""The converter as users reach it: the server's route and the script."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer
from convert_server import ROOT, WORKFLOWS, read
from evertalk_pack.convert.conversion import convert
from stored_media import mp4, png, webp

pytestmark = pytest.mark.host

TOOL = ROOT / "tools" / "convert_wrapper.py"


def post(server: ComfyServer, body: bytes) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.client.address}/evertalk/convert", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def run_tool(
    server: ComfyServer, workflow: Path, output: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), str(workflow), "--output", str(output), *more]
    command += ["--server", server.client.address]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["single", "gguf.api"])
def test_route_answers_as_the_converter_does(
    name: str, stocked_server: ComfyServer, object_info: dict[str, Any]
) -> None:
    answer = post(stocked_server, json.dumps(read(name)).encode())
    conversion = convert(read(name), object_info)
    assert answer["workflow"] == conversion.workflow
    assert [remark["text"] for remark in answer["remarks"]] == [one.text for one in conversion.remarks]
    assert {"level", "node", "text"} == set(answer["remarks"][0])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "it is not JSON"),
        (b"{}", "it has no nodes"),
        (b'{"nodes": [], "links": []}', "no WanVideoSampler"),
    ],
)
def test_route_says_why_it_converts_nothing(body: bytes, message: str, stocked_server: ComfyServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(stocked_server, body)
    assert refused.value.code == 400
    assert message in json.load(refused.value)["error"]


WITHOUT_TORCH = """
import runpy, sys
sys.modules |= dict.fromkeys(("torch", "numpy", "av"))  # importing one of them raises ImportError
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_tool_runs_with_any_python_and_says_that_comfyui_has_to_run(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        server = f"http://127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-c", WITHOUT_TORCH, str(TOOL), str(WORKFLOWS / "single.json")]
        command += ["--server", server]
        command += ["--output", str(tmp_path / "made.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"convert: no ComfyUI answers at {server} (" in done.stderr
    assert "Start it, or give its address by --server" in done.stderr


def test_tool_writes_the_workflow_and_lists_the_losses(stocked_server: ComfyServer, tmp_path: Path) -> None:
    output = tmp_path / "made.json"
    done = run_tool(stocked_server, WORKFLOWS / "extras.api.json", output)
    assert done.returncode == 1, "something was lost"
    assert "[lost] WanVideoSampler #128: cache_args" in done.stdout
    kinds = {node["class_type"] for node in json.loads(output.read_text(encoding="utf-8")).values()}
    assert {"EverTalkSampler", "EverTalkDecode"} <= kinds


def test_route_and_tool_keep_a_name_that_the_sampler_takes_alone(
    stocked_server: ComfyServer, tmp_path: Path
) -> None:
    for prefix, wanted in (("talks/one", "talks/one"), ("../one", "EverTalk/talk"), ("NUL", "EverTalk/talk")):
        graph = read("gguf.api")
        graph["131"]["inputs"]["filename_prefix"] = prefix
        source, output = tmp_path / "source.json", tmp_path / "made.json"
        source.write_text(json.dumps(graph), encoding="utf-8")
        run_tool(stocked_server, source, output)
        answer = post(stocked_server, source.read_bytes())
        for made in (answer["workflow"], json.loads(output.read_text(encoding="utf-8"))):
            (sampler,) = [one["inputs"] for one in made.values() if one["class_type"] == "EverTalkSampler"]
            assert sampler["filename_prefix"] == wanted
        is_told = any(
            f"filename_prefix {prefix}: filename_prefix" in one["text"] for one in answer["remarks"]
        )
        assert is_told == (prefix != wanted)


def test_tool_writes_the_editors_form_too(stocked_server: ComfyServer, tmp_path: Path) -> None:
    output = tmp_path / "made.json"
    done = run_tool(stocked_server, WORKFLOWS / "two_loras.json", output, "--editor")
    assert done.returncode == 0, done.stdout + done.stderr
    graph = json.loads(output.read_text(encoding="utf-8"))
    assert "EverTalkSampler" in {node["type"] for node in graph["nodes"]}
    assert len(graph["links"]) >= 10
    (note,) = [node for node in graph["nodes"] if node["type"] == "MarkdownNote"]
    assert note["widgets_values"][0].startswith("Converted to EverTalk")


def test_tool_says_what_it_does_not_take(stocked_server: ComfyServer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}", encoding="utf-8")
    done = run_tool(stocked_server, wrong, tmp_path / "made.json")
    assert (done.returncode, "it has no nodes" in done.stderr) == (2, True)
    wrong.write_bytes("{}".encode("utf-16"))  # what some shells write
    done = run_tool(stocked_server, wrong, tmp_path / "made.json")
    assert (done.returncode, f"{wrong} is neither JSON nor" in done.stderr) == (2, True)
    assert not (tmp_path / "made.json").exists()


@pytest.mark.parametrize("make", [png, webp, mp4])
def test_route_and_tool_take_the_file_itself(make: Any, stocked_server: ComfyServer, tmp_path: Path) -> None:
    graph = read("gguf.api")
    source, output = tmp_path / "made", tmp_path / "made.json"
    source.write_bytes(make({"prompt": graph}))
    answer = post(stocked_server, source.read_bytes())
    assert answer == post(stocked_server, json.dumps(graph).encode())
    run_tool(stocked_server, source, output)
    assert json.loads(output.read_text(encoding="utf-8")) == answer["workflow"]


def test_route_refuses_a_picture_without_a_workflow(stocked_server: ComfyServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(stocked_server, png({}))
    assert refused.value.code == 400
    assert "holds no workflow" in json.load(refused.value)["error"]
