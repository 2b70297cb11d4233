"""Values of a workflow's widgets by the names that its nodes have in the editor."""

from typing import Any

import pytest
from evertalk_pack.multitalk.common.name_tokens import NoValueError

pytestmark = pytest.mark.host

PROMPT: dict[str, Any] = {
    "8": {
        "class_type": "EverTalkSampler",
        "_meta": {"title": "Talk"},
        "inputs": {"seed": 7, "shift": 11.0, "steps": ["20", 0], "width": ["4", 0], "size": None},
    },
    "4": {"class_type": "LoadImage", "inputs": {"image": "a/b:c.png", "mask": True, "points": {"x": 1}}},
    "20": {"class_type": "PrimitiveInt", "inputs": {"value": ["21", 0]}},
    "21": {"class_type": "PrimitiveInt", "inputs": {"value": 40}},
    "3:5": {"class_type": "KSampler", "inputs": {"seed": 1, "cfg": 0.5}},
    "9": {"class_type": "KSampler", "inputs": {"seed": 2, "cfg": 0.5}},
}
WORKFLOW: dict[str, Any] = {
    "nodes": [
        {"id": 8, "type": "EverTalkSampler", "properties": {"Node name for S&R": "EverTalkSampler"}},
        {"id": 4, "type": "LoadImage", "title": "KSampler", "properties": {"Node name for S&R": "face"}},
        {"id": 3, "type": "some-graph", "properties": {}},
        {"id": 9, "type": "KSampler", "title": "second", "properties": {"Node name for S&R": "KSampler"}},
    ],
    "definitions": {"subgraphs": [{"id": "some-graph", "nodes": [{"id": 5, "title": "first pass"}]}]},
}


def value(node: str, widget: str, own_id: str = "8", workflow: object = WORKFLOW) -> str:
    from evertalk_pack.nodes.host.report.widget_values import WidgetValues

    return WidgetValues(PROMPT, {"workflow": workflow}, own_id)(node, widget)


@pytest.mark.parametrize(
    ("node", "widget", "text"),
    [
        ("EverTalkSampler", "seed", "7"),
        ("Talk", "shift", "11"),
        ("EverTalkSampler", "steps", "40"),
        ("EverTalkSampler", "size", ""),
        ("face", "image", "a_b_c.png"),
        ("LoadImage", "mask", "true"),
        ("first pass", "seed", "1"),
        ("second", "seed", "2"),
        ("KSampler", "cfg", "0.5"),
    ],
)
def test_value_is_found_under_the_node_s_name_or_title(node: str, widget: str, text: str) -> None:
    assert value(node, widget) == text


def test_of_several_nodes_of_a_name_the_one_that_asks_means_itself() -> None:
    assert value("KSampler", "seed", own_id="9") == "2"
    assert value("KSampler", "seed", own_id="3:5") == "1"


@pytest.mark.parametrize(
    ("node", "widget", "reason"),
    [
        ("Nobody", "seed", "no node that runs has the title or type 'Nobody'"),
        ("Talk", "cfg", "Talk has no widget 'cfg', only seed, shift, size"),
        (
            "KSampler",
            "seed",
            "2 nodes are called 'KSampler', and their seed differ ('1' and '2'): give one a title",
        ),
        ("Talk", "width", "it comes over a link, and is not known before the workflow runs"),
        ("face", "points", "it is a dict, not text or a number"),
    ],
)
def test_what_has_no_value_is_said(node: str, widget: str, reason: str) -> None:
    with pytest.raises(NoValueError) as error:
        value(node, widget)
    assert str(error.value).startswith(reason)


@pytest.mark.parametrize(
    "workflow",
    [None, 5, [], "x", {"nodes": 7}, {"nodes": [None, 3, {"id": 8, "properties": []}], "definitions": []}],
)
def test_workflow_that_is_none_is_not_looked_into(workflow: object) -> None:
    assert value("EverTalkSampler", "seed", workflow=workflow) == "7"


@pytest.mark.parametrize("prompt", [None, [], {"1": None, "2": {"inputs": 4}, "3": {"class_type": "A"}}])
def test_prompt_that_is_none_has_no_values(prompt: object) -> None:
    from evertalk_pack.nodes.host.report.widget_values import WidgetValues

    with pytest.raises(NoValueError, match="no node that runs has the title or type 'A'"):
        WidgetValues(prompt, 3)("A", "seed")


def test_value_that_is_longer_than_any_name_is_told_by_its_length() -> None:
    from evertalk_pack.nodes.host.report.widget_values import WidgetValues

    values = WidgetValues({"1": {"class_type": "Text", "inputs": {"text": "a" * 201, "name": "b" * 200}}})
    assert values("Text", "name") == "b" * 200
    with pytest.raises(NoValueError, match="it has 201 characters, and a prefix 200 at most"):
        values("Text", "text")


def test_names_are_looked_through_once_for_all_nodes_that_ask() -> None:
    from evertalk_pack.nodes.host.report.widget_values import WidgetValues

    text = {"text": "a"}
    prompt: dict[str, Any] = {"9": {"class_type": "Text", "inputs": text}}
    prompt |= {str(n): {"class_type": "EverTalkSampler", "inputs": {"seed": n}} for n in range(3)}
    values = WidgetValues(prompt)
    asking = [values.asked_by(str(n)) for n in range(3)]
    assert [one("EverTalkSampler", "seed") for one in asking] == ["0", "1", "2"]
    assert [one("Text", "text") for one in asking] == ["a"] * 3
    with pytest.raises(NoValueError, match="3 nodes are called 'EverTalkSampler'"):
        values("EverTalkSampler", "seed")
    text["text"] = "b"
    assert asking[0]("Text", "text") == "a", "it was kept"
