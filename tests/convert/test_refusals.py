"""What the converter does not take, and what it says then; no server is needed for that."""

import time
from copy import deepcopy
from random import Random
from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import convert
from evertalk_pack.convert.errors import ConvertError
from evertalk_pack.convert.host_nodes import HostNodes
from evertalk_pack.convert.read import MAX_NODES
from evertalk_pack.convert.read_editor import read_editor
from hostile_routes import JUNK, many_nodes, places_of

NO_HOST: dict[str, Any] = {}


def without(graph: dict[str, Any], node_id: str, field: str) -> dict[str, Any]:
    del graph[node_id]["inputs"][field]
    return graph


@pytest.mark.parametrize(
    ("workflow", "message"),
    [
        ([1, 2], "got list, expected a workflow"),
        ({}, "it has no nodes"),
        ({"a": 1}, "'a' is not a node with a class_type"),
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


def test_far_too_many_nodes_are_refused_before_they_are_looked_at() -> None:
    node = {"class_type": "LoadImage", "inputs": {}}
    with pytest.raises(ConvertError, match="it has 10,001 nodes, expected 10,000 at most"):
        convert({str(one): node for one in range(MAX_NODES + 1)}, NO_HOST)
    with pytest.raises(ConvertError, match="it has 10,001 nodes, expected 10,000 at most"):
        convert({"nodes": [{}] * (MAX_NODES + 1)}, NO_HOST)


@pytest.mark.parametrize("kind", ["Reroute", "GetNode", "SetNode", "LoadImage", "WanVideoSampler"])
def test_thousands_of_nodes_in_a_circle_are_refused_at_once(kind: str) -> None:
    began_s = time.process_time()  # of this process alone, however busy the machine is
    with pytest.raises(ConvertError):
        convert(many_nodes(MAX_NODES, kind), NO_HOST)
    assert time.process_time() - began_s < 5


def test_links_that_are_long_together_are_refused() -> None:
    with pytest.raises(ConvertError, match="its reroutes go in a circle"):
        read_editor(read("reroutes"), HostNodes({}), max_all_steps=10)


@pytest.mark.parametrize("name", ["single", "gguf.api", "two_people_in_turn"])
def test_values_of_wrong_kinds_end_in_a_conversion_or_a_sentence(name: str) -> None:
    draw = Random(name)
    refused = 0
    for _ in range(60):
        graph = read(name)
        place, key = draw.choice(places_of(graph))
        place[key] = deepcopy(draw.choice(JUNK))
        try:
            convert(graph, NO_HOST)
        except ConvertError:
            refused += 1
    assert refused


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
