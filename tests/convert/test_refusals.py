"""What the converter does not take, and what it says then; no server is needed for that."""

from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import convert
from evertalk_pack.convert.errors import ConvertError

NO_HOST: dict[str, Any] = {}


def without(graph: dict[str, Any], node_id: str, field: str) -> dict[str, Any]:
    del graph[node_id]["inputs"][field]
    return graph


@pytest.mark.parametrize(
    ("workflow", "message"),
    [
        ([1, 2], "got list, expected a workflow"),
        ({}, "it has no nodes"),
        ({"a": 1}, "'a' is no node with a class_type"),
        ({"1": {"class_type": "LoadImage", "inputs": {}}}, "it has no WanVideoSampler"),
        ({"1": {"class_type": "Pick", "inputs": {"two": ["a", "b"]}}}, "it has no WanVideoSampler"),
        ({"nodes": [{}]}, r"got damaged nodes or links \(KeyError\('id'\)\), expected a workflow"),
        ({"nodes": [1]}, "got damaged nodes or links"),
        (
            {"nodes": [{"id": 1, "type": "A", "inputs": [{"link": 1}]}], "links": [[1]]},
            "got damaged nodes or",
        ),
    ],
)
def test_what_is_no_workflow_of_the_wrapper_is_refused(workflow: Any, message: str) -> None:
    with pytest.raises(ConvertError, match=message):
        convert(workflow, NO_HOST)


@pytest.mark.parametrize(
    ("node_id", "field", "message"),
    [
        ("128", "model", "nothing is connected to model"),
        ("128", "image_embeds", "nothing is connected to image_embeds"),
        ("128", "multitalk_embeds", "nothing is connected to multitalk_embeds"),
        ("122", "multitalk_model", "no audio weights are connected"),
        ("192", "vae", "nothing is connected to vae"),
        ("194", "audio_1", "no sound is connected to audio_1"),
        ("192", "start_image", "nothing is connected to start_image"),
    ],
)
def test_missing_connection_is_named(node_id: str, field: str, message: str) -> None:
    info = {name: {"input": {"required": {}}} for name in ("LoadImage", "LoadAudio")}
    with pytest.raises(ConvertError, match=message):
        convert(without(read("gguf.api"), node_id, field), info)


def test_other_videos_of_the_wrapper_are_refused() -> None:
    graph = read("gguf.api")
    graph["192"]["class_type"] = "WanVideoImageToVideoEncode"
    with pytest.raises(ConvertError, match="Keep WanVideoWrapper for them"):
        convert(graph, NO_HOST)


def test_reroutes_in_a_circle_are_refused() -> None:
    graph = read("reroutes")
    reroute = next(node for node in graph["nodes"] if node["type"] == "Reroute")
    (socket,) = reroute["inputs"]
    link = next(
        one for one in graph["links"] if (one["id"] if isinstance(one, dict) else one[0]) == socket["link"]
    )
    if isinstance(link, dict):
        link["origin_id"] = reroute["id"]
    else:
        link[1] = reroute["id"]
    with pytest.raises(ConvertError, match="go in a circle"):
        convert(graph, NO_HOST)
