"""What a workflow shows in the editor's app mode, which hides the graph: a few fields, and the video.

The editor reads it from `extra.linearData`: pairs of a node's number and a widget's name, and the numbers of
the nodes whose results are shown (seen in comfyui-frontend-package 1.58.1). Earlier editors ignore it.
"""

from typing import Any

from node_fields import JsonObject, is_link

FIELDS = {
    "LoadImage": ("image",),
    "LoadVideo": ("file",),
    "LoadAudio": ("audio",),
    "EverTalkLoadSpeech": ("audio",),
    "CLIPTextEncode": ("text",),
    "EverTalkSchedule": ("prompts",),
    "EverTalkVideoSource": ("region_box",),
    "EverTalkSampler": ("size", "seed", "filename_prefix"),
}
"""Widgets that people set for each video, in the order of the page."""

RESULTS = ("EverTalkDecode", "EverTalkSampler")
"""Nodes that show the video; the first kind that a workflow has."""

WISHED = "positive"
"""The socket whose prompt is shown; the negative one hardly changes."""


def app_mode_of(workflow: JsonObject) -> JsonObject:
    """`extra.linearData` of a workflow in API format."""
    wished = {node["inputs"][WISHED][0] for node in workflow.values() if is_link(node["inputs"].get(WISHED))}
    fields: list[list[Any]] = [
        [int(node_id), name]
        for kind, names in FIELDS.items()
        for node_id, node in workflow.items()
        if node["class_type"] == kind and (kind != "CLIPTextEncode" or node_id in wished)
        for name in names
        if name in node["inputs"] and not is_link(node["inputs"][name])
    ]
    kinds = {node["class_type"] for node in workflow.values()}
    shown = next(kind for kind in RESULTS if kind in kinds)
    results = [int(node_id) for node_id, node in workflow.items() if node["class_type"] == shown]
    return {"inputs": fields, "outputs": results}
