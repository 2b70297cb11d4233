"""Subgraphs are read as the editor runs them: what is inside, what comes in, and whose values hold."""

import copy
from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import convert
from evertalk_pack.convert.errors import ConvertError
from evertalk_pack.convert.host_nodes import HostNodes
from evertalk_pack.convert.read_editor import read_editor
from evertalk_pack.convert.source import Link, Source
from evertalk_pack.convert.subgraphs import unpacked

Graph = dict[str, Any]

INFO: Graph = {
    "LoadImage": {"input": {"required": {"image": ["COMBO", {}]}}},
    "LoadAudio": {"input": {"required": {"audio": ["COMBO", {}]}}},
}
BYPASSED, MUTED = 4, 2


def socket(name: str, link: object = None, *, widget: bool = False) -> Graph:
    found: Graph = {"name": name, "type": "X", "link": link}
    return found | {"widget": {"name": name}} if widget else found


def link(number: int, origin: int, slot: int, target: int, place: int) -> Graph:
    ends = {"origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": place}
    return {"id": number, **ends, "type": "X"}


def definition(**parts: Any) -> Graph:
    """Steps and seed of a node `Draw` come in from outside, and so does its picture; its output goes out."""
    drawing = {
        "id": 5,
        "type": "Draw",
        "inputs": [
            socket("picture", 1),
            socket("steps", 2, widget=True),
            socket("seed", 3, widget=True),
            socket("strength", None, widget=True),
        ],
        "outputs": [{"name": "out", "type": "X", "links": [4]}],
        "widgets_values": [20, 7, "fixed", 0.5],
    }
    found: Graph = {
        "id": "aaaa",
        "name": "Drawing",
        "inputs": [{"name": "picture"}, {"name": "steps"}, {"name": "noise"}],
        "outputs": [{"name": "out"}],
        "nodes": [drawing],
        "links": [link(1, -10, 0, 5, 0), link(2, -10, 1, 5, 1), link(3, -10, 2, 5, 2), link(4, 5, 0, -20, 0)],
    }
    return found | parts


def instance(number: int = 9, **parts: Any) -> Graph:
    found: Graph = {
        "id": number,
        "type": "aaaa",
        "inputs": [socket("picture", 30)],
        "outputs": [{"name": "out", "type": "X", "links": [31]}],
        "properties": {},
    }
    return found | parts


def workflow(
    *instances: Graph, definitions: list[Graph] | None = None, more: list[Graph] | None = None
) -> Graph:
    nodes = [
        {"id": 1, "type": "Load", "inputs": [], "outputs": [{"name": "o", "type": "X"}]},
        *instances,
        {"id": 2, "type": "Show", "inputs": [socket("images", 31)]},
        *(more or []),
    ]
    outer = [[30, 1, 0, 9, 0, "X"], [31, 9, 0, 2, 0, "X"]]
    return {"nodes": nodes, "links": outer, "definitions": {"subgraphs": definitions or [definition()]}}


def source(graph: Graph) -> Source:
    return read_editor(graph, HostNodes({}))


def drawn(graph: Graph, node_id: str = "9:5") -> Graph:
    return dict(source(graph).nodes[node_id].inputs)


def test_node_inside_gets_what_is_connected_outside_and_gives_it_out() -> None:
    nodes = source(workflow(instance())).nodes
    assert list(nodes) == ["1", "9:5", "2"]
    assert nodes["9:5"].inputs["picture"] == Link("1", 0)
    assert nodes["2"].inputs["images"] == Link("9:5", 0)
    assert nodes["9:5"].name == "Draw #9:5"


def test_without_values_of_its_own_the_ones_inside_hold() -> None:
    wanted = {"picture": Link("1", 0), "steps": 20, "seed": 7, "strength": 0.5}
    assert drawn(workflow(instance(widgets_values=[]))) == wanted


@pytest.mark.parametrize(
    "own",
    [
        {"widgets_values": [4, 11]},
        {"widgets_values": [4, 11, "randomize"]},  # some editors keep the control beside the seed
        {"widgets_values_named": {"steps": 4, "noise": 11}},
        {
            "widgets_values": [4, 11, None, None],
            "properties": {
                "proxyWidgets": [["-1", "steps"], ["-1", "noise"], ["5", "control_after_generate"]]
            },
        },
        {"widgets_values": [11, 4], "properties": {"proxyWidgets": [["-1", "noise"], ["5", "steps"]]}},
        {"widgets_values": [4, 11], "properties": {"proxyWidgets": '[["5", "steps"], ["5", "seed"]]'}},
    ],
)
def test_values_of_the_subgraphs_node_hold_in_every_form_that_editors_save(own: Graph) -> None:
    inputs = drawn(workflow(instance(**own)))
    assert (inputs["steps"], inputs["seed"], inputs["strength"]) == (4, 11, 0.5)


def test_value_of_a_widget_that_is_no_input_of_the_subgraph_holds_too() -> None:
    own: Graph = {"widgets_values": [0.9], "properties": {"proxyWidgets": [["5", "strength"]]}}
    assert drawn(workflow(instance(**own)))["strength"] == 0.9


def test_list_of_promoted_widgets_without_values_changes_nothing() -> None:
    listed = {"proxyWidgets": [["5", "strength"], ["5", "$$picture"]]}
    own: Graph = {"widgets_values": [], "properties": listed}
    assert drawn(workflow(instance(**own)))["strength"] == 0.5


def test_what_is_connected_to_a_widget_goes_before_its_value() -> None:
    sockets = [socket("picture", 30), socket("steps", 32, widget=True)]
    graph = workflow(instance(inputs=sockets, widgets_values=[4, 11]))
    graph["nodes"].append({"id": 3, "type": "PrimitiveNode", "outputs": [{}], "widgets_values": [6, "fixed"]})
    graph["links"].append([32, 3, 0, 9, 1, "INT"])
    assert (drawn(graph)["steps"], drawn(graph)["seed"]) == (6, 11)


def test_what_use_everywhere_connects_to_a_subgraph_goes_in() -> None:
    graph = workflow(
        instance(inputs=[socket("picture"), socket("steps", widget=True)], widgets_values=[4, 11])
    )
    graph["links"] = [[31, 9, 0, 2, 0, "X"]]
    implied = {"upstream": 1, "upstream_slot": 0, "downstream": 9, "downstream_slot": 0}
    graph["extra"] = {"ue_links": [implied]}
    assert drawn(graph)["picture"] == Link("1", 0)
    assert drawn(graph)["steps"] == 4


def test_two_nodes_of_one_subgraph_are_two() -> None:
    second = instance(10, inputs=[], widgets_values=[8, 12])
    nodes = source(workflow(instance(widgets_values=[4, 11]), second)).nodes
    assert [nodes[name].inputs["steps"] for name in ("9:5", "10:5")] == [4, 8]
    assert "picture" not in nodes["10:5"].inputs


def test_subgraphs_of_one_name_are_told_apart() -> None:
    other = copy.deepcopy(definition(id="bbbb"))
    other["nodes"][0]["widgets_values"][0] = 33
    graph = workflow(instance(), instance(10, type="bbbb", inputs=[]), definitions=[definition(), other])
    nodes = source(graph).nodes
    assert [nodes[name].inputs["steps"] for name in ("9:5", "10:5")] == [20, 33]


def nested(**outer_node: Any) -> Graph:
    """A subgraph around `Drawing` that hands on picture and steps."""
    inner = instance(
        7, inputs=[socket("picture", 1), socket("steps", 2, widget=True)], widgets_values=[4, 11]
    )
    around = {
        "id": "cccc",
        "name": "Around",
        "inputs": [{"name": "image"}, {"name": "count"}],
        "outputs": [{"name": "out"}],
        "nodes": [inner],
        "links": [link(1, -10, 0, 7, 0), link(2, -10, 1, 7, 1), link(3, 7, 0, -20, 0)],
    }
    outer = instance(type="cccc", inputs=[socket("image", 30)], **outer_node)
    return workflow(outer, definitions=[definition(), around])


def test_subgraph_in_a_subgraph_is_unpacked_with_the_outermost_value() -> None:
    graph = nested(widgets_values=[3])
    assert drawn(graph, "9:7:5") == {"picture": Link("1", 0), "steps": 3, "seed": 11, "strength": 0.5}
    assert source(graph).nodes["2"].inputs["images"] == Link("9:7:5", 0)


@pytest.mark.parametrize(("widget", "value"), [("noise", 2), ("seed", 2), ("strength", 0.2)])
def test_widget_of_the_innermost_node_can_be_set_on_the_outermost(widget: str, value: float) -> None:
    graph = nested(widgets_values=[value], properties={"proxyWidgets": [["7", widget]]})
    around = graph["definitions"]["subgraphs"][1]
    around["nodes"][0]["properties"] = {"proxyWidgets": [["-1", "steps"], ["-1", "noise"], ["5", "strength"]]}
    assert drawn(graph, "9:7:5")["seed" if widget == "noise" else widget] == value


def test_bypassed_subgraph_hands_on_what_it_gets_and_a_muted_one_nothing() -> None:
    bypassed, muted = (source(workflow(instance(mode=mode, title=""))) for mode in (BYPASSED, MUTED))
    assert bypassed.nodes["2"].inputs["images"] == Link("1", 0)
    assert "images" not in muted.nodes["2"].inputs
    assert list(bypassed.nodes) == list(muted.nodes) == ["1", "2"]
    assert bypassed.left_out == ("subgraph Drawing #9",)


def test_bypassed_node_inside_hands_on_what_the_subgraph_gets() -> None:
    inside = definition()
    inside["nodes"][0]["mode"] = BYPASSED
    assert source(workflow(instance(), definitions=[inside])).nodes["2"].inputs["images"] == Link("1", 0)


def test_set_and_get_in_a_subgraph_are_its_own_and_a_get_finds_the_set_around_it() -> None:
    def set_node(number: int, comes: int) -> Graph:
        return {"id": number, "type": "SetNode", "inputs": [socket("X", comes)], "widgets_values": ["a"]}

    def get_node(number: int) -> Graph:
        return {"id": number, "type": "GetNode", "outputs": [{}], "widgets_values": ["a"]}

    own, around = definition(), definition(id="bbbb")
    for one in (own, around):
        one["nodes"][0]["inputs"][0]["link"] = 8
        one["nodes"].append(get_node(6))
        one["links"].append(link(8, 6, 0, 5, 0))
    own["nodes"] += [{"id": 4, "type": "Make", "outputs": [{}]}, set_node(3, 9)]
    own["links"].append(link(9, 4, 0, 3, 0))
    graph = workflow(instance(), instance(10, type="bbbb", inputs=[]), definitions=[own, around])
    graph["nodes"].append(set_node(20, 33))
    graph["links"].append([33, 1, 0, 20, 0, "X"])
    assert drawn(graph, "9:5")["picture"] == Link("9:4", 0)
    assert drawn(graph, "10:5")["picture"] == Link("1", 0)


def test_subgraph_that_holds_itself_is_refused_by_name() -> None:
    endless = definition()
    endless["nodes"].append(instance(6, inputs=[]))
    with pytest.raises(ConvertError, match="the subgraph Drawing holds itself"):
        source(workflow(instance(), definitions=[endless]))


def test_depth_and_number_are_limited() -> None:
    with pytest.raises(ConvertError, match="more than 1 deep in each other"):
        unpacked(nested(), max_depth=1)
    with pytest.raises(ConvertError, match="more than 9 parts"):
        unpacked(workflow(instance()), max_parts=9)


def test_group_nodes_are_refused_with_what_to_do() -> None:
    graph = {"nodes": [{"id": 1, "type": "workflow>Talk"}], "links": []}
    with pytest.raises(ConvertError, match=r"group nodes \(workflow>Talk\).*Convert to nodes"):
        source(graph)


def packed(graph: Graph, inner: set[int]) -> Graph:
    """The same workflow with some of its nodes in a subgraph, as the editor makes one of them."""
    inside: Graph = {"id": "dddd", "name": "Talk", "inputs": [], "outputs": [], "links": []}
    inside["nodes"] = [node for node in graph["nodes"] if node["id"] in inner]
    host: Graph = {"id": 500, "type": "dddd", "inputs": [], "outputs": [], "widgets_values": []}
    outer: list[Any] = []
    for number, origin, slot, target, place, kind in graph["links"]:
        ends = link(number, origin, slot, target, place)
        if origin in inner and target in inner:
            inside["links"].append(ends)
        elif target in inner:
            outer.append([number, origin, slot, 500, len(inside["inputs"]), kind])
            inside["links"].append(ends | {"origin_id": -10, "origin_slot": len(inside["inputs"])})
            host["inputs"].append({"name": f"in_{number}", "type": kind, "link": number})
            inside["inputs"].append({"name": f"in_{number}", "type": kind, "linkIds": [number]})
        elif origin in inner:
            outer.append([number, 500, len(inside["outputs"]), target, place, kind])
            inside["links"].append(ends | {"target_id": -20, "target_slot": len(inside["outputs"])})
            host["outputs"].append({"name": f"out_{number}", "type": kind, "links": [number]})
            inside["outputs"].append({"name": f"out_{number}", "type": kind, "linkIds": [number]})
        else:
            outer.append([number, origin, slot, target, place, kind])
    rest = [node for node in graph["nodes"] if node["id"] not in inner]
    return {"nodes": [*rest, host], "links": outer, "definitions": {"subgraphs": [inside]}}


@pytest.mark.parametrize(
    "inner",
    [
        {128, 192, 194},
        {120, 122, 138, 139},
        {120, 122, 128, 129, 130, 135, 136, 137, 138, 139, 192, 194, 237, 238, 281},
    ],
)
def test_workflow_of_the_wrapper_becomes_the_same_whatever_is_packed_into_a_subgraph(inner: set[int]) -> None:
    flat, in_subgraph = (
        convert(graph, INFO) for graph in (read("two_loras"), packed(read("two_loras"), inner))
    )
    assert in_subgraph.workflow == flat.workflow
    assert {remark.text for remark in in_subgraph.remarks} == {remark.text for remark in flat.remarks}
