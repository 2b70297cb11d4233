"""What later parts of a chain of ComfyUI's own InfiniteTalk nodes have of their own is told."""

from collections.abc import Callable
from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import Conversion, convert
from evertalk_pack.convert.remarks import Level

pytestmark = pytest.mark.host

Graph = dict[str, Any]
Change = Callable[[Graph], object]

PARTS, SECOND = "core_two_parts.api", "211"
"""A workflow of two parts, and the node with the speech of the second."""


def lost(conversion: Conversion) -> str:
    return "\n".join(remark.text for remark in conversion.remarks if remark.level is Level.LOST)


def speakers_changed(graph: Graph) -> None:
    graph["209"]["inputs"]["audio"], graph["210"]["inputs"]["audio"] = ["3", 0], ["2", 0]


def masks_changed(graph: Graph) -> None:
    inputs = graph[SECOND]["inputs"]
    first, second = "mode.mask_1", "mode.mask_2"
    inputs[first], inputs[second] = inputs[second], inputs[first]


def negative_of_its_own(graph: Graph) -> None:
    graph["30"] = {"class_type": "CLIPTextEncode", "inputs": {"text": "blurred", "clip": ["204", 0]}}
    graph[SECOND]["inputs"]["negative"] = ["30", 0]


def positive_that_is_unknown(graph: Graph) -> None:
    graph["205"]["class_type"] = "SomeTextEncoder"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (speakers_changed, "the two speakers change places in a later part"),
        (masks_changed, "the two speakers change places in a later part"),
        (negative_of_its_own, "negative: another in a later part; the first part's is used"),
        (positive_that_is_unknown, "positive: another in a later part; the first part's is used"),
    ],
)
def test_what_a_later_part_has_of_its_own_is_told(change: Change, told: str, object_info: Graph) -> None:
    graph = read(PARTS)
    assert told not in lost(convert(graph, object_info))
    change(graph)
    assert told in lost(convert(graph, object_info))


def test_multi_line_prompts_stay_one_prompt_a_window(object_info: Graph) -> None:
    graph = read(PARTS)
    graph["105"]["inputs"]["text"] = "two people\ntalk"
    (schedule,) = [
        node["inputs"]["prompts"]
        for node in convert(graph, object_info).workflow.values()
        if node["class_type"] == "EverTalkSchedule"
    ]
    assert len(schedule.splitlines()) == 2
