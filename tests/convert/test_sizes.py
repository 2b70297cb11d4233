"""Sizes that other nodes give: found wherever they stand, and named where only a run would tell."""

from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import convert

Node = dict[str, Any]

INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["a.png"]]}}, "output": ["IMAGE", "MASK"]},
    "LoadAudio": {"input": {"required": {"audio": [["a.wav"]]}}, "output": ["AUDIO"]},
}
PHOTO: Node = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
COMPUTED = "width is computed by other nodes: the trained 480p size is chosen"


def node(kind: str, **inputs: Any) -> Node:
    return {"class_type": kind, "inputs": inputs}


def resized(width: Any, height: Any, way: Any = "crop", divisible_by: Any = 16, image: str = "a") -> Node:
    sides = {"width": width, "height": height, "divisible_by": divisible_by}
    return node("ImageResizeKJv2", image=[image, 0], keep_proportion=way, **sides)


def size(nodes: dict[str, Node], measured: str, first: int) -> tuple[int, int, bool]:
    """Width and height of the sampler that is made, and whether the size was said to be computed."""
    graph: dict[str, Any] = read("gguf.api")
    graph |= {"a": PHOTO, **nodes}
    graph["192"]["inputs"] |= {"width": [measured, first], "height": [measured, first + 1]}
    conversion = convert(graph, INFO)
    (sampler,) = [n["inputs"] for n in conversion.workflow.values() if n["class_type"] == "EverTalkSampler"]
    is_told = any(COMPUTED in remark.text for remark in conversion.remarks)
    return sampler["width"], sampler["height"], is_told


RANGE = node("GetImageRangeFromBatch", images=["b", 0], start_index=0, num_frames=1)


@pytest.mark.parametrize(
    ("nodes", "measured", "first", "wanted"),
    [
        ({"b": resized(640, 368)}, "b", 1, (640, 368)),
        ({"b": resized(650, 370)}, "b", 1, (640, 368)),
        ({"b": resized(["w", 0], 368), "w": node("INTConstant", value=704)}, "b", 1, (704, 368)),
        (
            {"b": resized(640, 368), "c": RANGE, "d": node("GetImageSizeAndCount", image=["c", 0])},
            "d",
            1,
            (640, 368),
        ),
        (
            {
                "b": resized(640, 368),
                "c": node("easy cleanGpuUsed", anything=["b", 0]),
                "d": node("GetImageSize", image=["c", 0]),
            },
            "d",
            0,
            (640, 368),
        ),
        ({"b": resized(640, 368), "c": resized(0, 512, image="b")}, "c", 1, (640, 512)),
        ({"b": node("ImageScale", image=["a", 0], width=512, height=768)}, "s", 0, (512, 768)),
        (
            {"b": node("ImageResize+", image=["a", 0], width=650, height=370, method="pad", multiple_of=16)},
            "b",
            1,
            (640, 368),
        ),
        (
            {"b": node("VHS_LoadVideo", video="v.mp4", custom_width=640, custom_height=384)},
            "s",
            0,
            (640, 384),
        ),
    ],
)
def test_size_that_a_node_fixes_is_kept(
    nodes: dict[str, Node], measured: str, first: int, wanted: tuple[int, int]
) -> None:
    nodes = {**nodes, "s": node("GetImageSize", image=["b", 0])}
    assert size(nodes, measured, first) == (*wanted, False)


@pytest.mark.parametrize(
    "before",
    [
        node("GetImageSizeAndCount", image=["a", 0]),
        resized(640, 0),
        resized(640, 368, way="resize"),
        resized(640, 368, way="total_pixels"),
        resized(640, 368, way=True),
        resized(650, 370, way="pad"),
        node("Nobody's Upscaler", image=["a", 0]),
        node("VHS_LoadVideo", video="v.mp4", custom_width=650, custom_height=370),
    ],
)
def test_size_that_only_a_run_would_tell_becomes_480p_and_is_told(before: Node) -> None:
    nodes = {"b": before, "c": node("GetImageSizeAndCount", image=["b", 0])}
    assert size(nodes, "c", 1) == (832, 480, True)
