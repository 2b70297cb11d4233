"""Links of the editor's form through all that only directs or switches, read as the editor runs it."""

from collections.abc import Sequence
from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import Conversion, convert
from evertalk_pack.convert.errors import ConvertError

Graph = dict[str, Any]
Node = dict[str, Any]

INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["a.png"]]}}, "output": ["IMAGE", "MASK"]},
    "LoadAudio": {"input": {"required": {"audio": [["a.wav"]]}}, "output": ["AUDIO"]},
}
SAMPLER, MUTED, BYPASSED = "WanVideoSampler", 2, 4
LINKS = (
    (SAMPLER, "image_embeds"),
    (SAMPLER, "model"),
    ("WanVideoImageToVideoMultiTalk", "start_image"),
    ("MultiTalkWav2VecEmbeds", "audio_1"),
)


def node_of(graph: Graph, kind: str) -> Node:
    (found,) = [node for node in graph["nodes"] if node["type"] == kind]
    return found


def socket_of(graph: Graph, kind: str, name: str) -> Node:
    (found,) = [one for one in node_of(graph, kind)["inputs"] if one["name"] == name]
    return found


def add(graph: Graph, kind: str, inputs: Sequence[tuple[str, int | None]], outputs: str, **more: Any) -> int:
    """A node with sockets of some types; its id."""
    node_id = 9000 + len(graph["nodes"])
    sockets = [{"name": f"in_{i}", "type": t, "link": link} for i, (t, link) in enumerate(inputs)]
    given = [{"name": f"out_{i}", "type": t, "links": []} for i, t in enumerate(outputs.split())]
    graph["nodes"].append({"id": node_id, "type": kind, "inputs": sockets, "outputs": given, **more})
    return node_id


def connect(graph: Graph, origin: int, slot: int, socket: Node) -> int:
    """Connect an output to a socket; the link's number."""
    number = 5000 + len(graph["links"])
    graph["links"].append([number, origin, slot, 0, 0, socket["type"]])
    socket["link"] = number
    return number


def converted(graph: Graph) -> Conversion:
    return convert(graph, INFO)


def made_of(graph: Graph) -> dict[str, Any]:
    return converted(graph).workflow


@pytest.mark.parametrize(("kind", "name"), LINKS)
@pytest.mark.parametrize("setter", ["SetNode", "easy setNode"])
def test_getter_gives_what_the_setter_of_its_name_was_given(setter: str, kind: str, name: str) -> None:
    graph, getter = read("single"), setter.replace("setNode", "getNode").replace("SetNode", "GetNode")
    socket = socket_of(graph, kind, name)
    add(graph, setter, [(socket["type"], None)], "", widgets_values=["another"])
    add(graph, setter, [(socket["type"], socket["link"])], "", widgets_values=["mine"])
    connect(graph, add(graph, getter, [], socket["type"], widgets_values=["mine"]), 0, socket)
    after = converted(graph)
    assert after == converted(read("single"))


@pytest.mark.parametrize(("kind", "name"), LINKS)
@pytest.mark.parametrize("reroute", ["Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss"])
def test_reroutes_of_every_pack_hand_on(reroute: str, kind: str, name: str) -> None:
    graph = read("single")
    socket = socket_of(graph, kind, name)
    first = add(graph, reroute, [("*", socket["link"])], "*")
    middle = {"type": "*"}
    second = add(graph, reroute, [("*", connect(graph, first, 0, middle))], "*")
    connect(graph, second, 0, socket)
    assert made_of(graph) == made_of(read("single"))


@pytest.mark.parametrize(("kind", "name"), LINKS)
def test_bypassed_node_hands_on_the_input_of_its_outputs_type(kind: str, name: str) -> None:
    graph = read("single")
    socket = socket_of(graph, kind, name)
    inputs = [("FLOAT", None), (socket["type"], socket["link"])]
    connect(graph, add(graph, "Nobody's Filter", inputs, socket["type"], mode=BYPASSED), 0, socket)
    after = converted(graph)
    assert after.workflow == made_of(read("single"))
    assert any("Nobody's Filter" in remark.text for remark in after.remarks), "it is told as switched off"


def test_bypassed_node_with_two_inputs_of_a_type_hands_on_the_one_at_the_outputs_place() -> None:
    graph = read("single")
    socket = socket_of(graph, "WanVideoImageToVideoMultiTalk", "start_image")
    other = add(graph, "LoadImage", [], "IMAGE MASK", widgets_values=["other.png", "image"])
    spare = connect(graph, other, 0, {"type": "IMAGE"})
    inputs = [("IMAGE", spare), ("IMAGE", socket["link"])]
    connect(graph, add(graph, "Nobody's Pair", inputs, "IMAGE IMAGE", mode=BYPASSED), 1, socket)
    assert made_of(graph) == made_of(read("single"))


def test_bypassed_cleaner_hands_on_whatever_it_gets() -> None:
    graph = read("single")
    socket = socket_of(graph, SAMPLER, "image_embeds")
    cleaner = add(graph, "easy cleanGpuUsed", [("*", socket["link"])], "*", mode=BYPASSED)
    connect(graph, cleaner, 0, socket)
    assert made_of(graph) == made_of(read("single"))


def test_muted_node_gives_nothing_and_its_optional_input_stays_open() -> None:
    graph = read("single")
    node_of(graph, "WanVideoClipVisionEncode")["mode"] = MUTED
    (sampler,) = [n["inputs"] for n in made_of(graph).values() if n["class_type"] == "EverTalkSampler"]
    assert "clip_vision_output" not in sampler


def test_muted_node_that_is_needed_is_asked_for() -> None:
    graph = read("single")
    node_of(graph, "WanVideoImageToVideoMultiTalk")["mode"] = MUTED
    with pytest.raises(ConvertError, match="nothing is connected to image_embeds"):
        converted(graph)


@pytest.mark.parametrize(
    "kind", ["Fast Groups Muter (rgthree)", "Fast Bypasser (rgthree)", "Bookmark (rgthree)", "MarkdownNote"]
)
def test_nodes_of_the_editor_alone_change_nothing(kind: str) -> None:
    graph = read("single")
    save = node_of(graph, "VHS_VideoCombine")
    add(graph, kind, [("*", connect(graph, save["id"], 0, {"type": "*"}))], "*", widgets_values=["x"])
    after = converted(graph)
    assert after.workflow == made_of(read("single"))
    assert not any(remark.node.startswith(kind) for remark in after.remarks)


@pytest.mark.parametrize(("kind", "name"), LINKS)
def test_input_that_use_everywhere_connects_is_connected(kind: str, name: str) -> None:
    graph = read("single")
    node, socket = node_of(graph, kind), socket_of(graph, kind, name)
    (link,) = [one for one in graph["links"] if one[0] == socket["link"]]
    everywhere = add(graph, "Anything Everywhere", [("*", socket["link"])], "")
    socket["link"] = None
    connected = {"downstream": node["id"], "downstream_slot": node["inputs"].index(socket)}
    connected |= {"upstream": str(link[1]), "upstream_slot": link[2], "controller": everywhere}
    graph["extra"] = {"ue_links": [{**connected, "type": socket["type"]}]}
    assert made_of(graph) == made_of(read("single"))


def test_groups_around_nodes_change_nothing() -> None:
    graph = read("single")
    graph["groups"] = [{"id": 1, "title": "Models", "bounding": [0, 0, 10, 10], "flags": {}}]
    assert converted(graph) == converted(read("single"))


def test_group_node_is_refused_with_what_to_do() -> None:
    graph = read("single")
    add(graph, "workflow>My Talk", [], "", title="My Talk")
    with pytest.raises(ConvertError, match=r"group nodes \(My Talk\).*Convert to nodes"):
        converted(graph)


@pytest.mark.parametrize(("seed", "wanted"), [(7, 7), (-1, 0)])
def test_seed_of_a_node_is_read_and_one_that_is_drawn_is_told(seed: int, wanted: int) -> None:
    graph = read("gguf.api")
    graph["900"] = {"class_type": "Seed (rgthree)", "inputs": {"seed": seed}}
    graph["128"]["inputs"]["seed"] = ["900", 0]
    after = converted(graph)
    (sampler,) = [n["inputs"] for n in after.workflow.values() if n["class_type"] == "EverTalkSampler"]
    assert sampler["seed"] == wanted
    assert any("drawn again" in remark.text for remark in after.remarks) == (seed < 0)
