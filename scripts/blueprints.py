"""One node out of a bundled workflow: the editor's form of a subgraph that a pack offers (`subgraphs/`).

What loads media stays outside and becomes a socket; the fields that most people set stand on the node.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node_fields import JsonObject

INPUT, OUTPUT = -10, -20
"""The ids of the editor's own nodes for what comes in and what goes out."""

SIDE_PX = (160, 60)
WIDTH, HEIGHT = 400, 260
VIDEO_SLOT = 1
"""The output `video` of EverTalk Decode."""

DECODE, NOTE = "EverTalkDecode", "MarkdownNote"


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What is made of a workflow.

    Attributes:
        workflow: its name.
        name: the node's, and its file's.
        description: what the editor says of it.
        sockets: the nodes that load media, by title, and the sockets that take their place.
        fields: class of a node and field, in the node's order.
    """

    workflow: str
    name: str
    description: str
    sockets: dict[str, str]
    fields: Sequence[tuple[str, str]]


PROMPT = ("CLIPTextEncode", "text")
OF_SAMPLER = tuple(("EverTalkSampler", name) for name in ("size", "audio_scale", "seed", "filename_prefix"))
BLUEPRINTS = (
    Blueprint(
        "infinitetalk_image",
        "EverTalk Talking picture",
        "A picture and speech become a talking video of any length.",
        {"Picture": "picture", "Speech": "speech"},
        (PROMPT, *OF_SAMPLER),
    ),
    Blueprint(
        "infinitetalk_two_people",
        "EverTalk Two people",
        "Two people in a picture speak, each with a voice of their own.",
        {"Picture": "picture", "Speech of A (left)": "speech_left", "Speech of B (right)": "speech_right"},
        (PROMPT, ("EverTalkSpeakers", "arrangement"), *OF_SAMPLER),
    ),
    Blueprint(
        "infinitetalk_dub_video",
        "EverTalk Dub a clip",
        "A clip is given other speech, and its lips follow.",
        {"Clip": "clip", "Speech": "speech"},
        (PROMPT, ("EverTalkVideoSource", "denoise"), *OF_SAMPLER),
    ),
    Blueprint(
        "lips_for_any_clip",
        "EverTalk Lips for a clip",
        "One face of a clip talks, and goes back into the clip's own frames; all else of it stays.",
        {"Clip": "clip", "Speech": "speech"},
        (
            PROMPT,
            ("EverTalkVideoSource", "region_box"),
            ("EverTalkVideoSource", "denoise"),
            *OF_SAMPLER,
        ),
    ),
)


def blueprint_of(chosen: Blueprint, graph: JsonObject) -> JsonObject:
    """The blueprint as the editor reads it.

    Args:
        chosen: what is made.
        graph: the workflow in the editor's format, as GraphBuilder makes it.
    """
    outside = {node["id"]: node["title"] for node in graph["nodes"] if node.get("title") in chosen.sockets}
    nodes = {
        node["id"]: {**node, "inputs": [dict(one) for one in node["inputs"]]}
        for node in graph["nodes"]
        if node["id"] not in outside and node["type"] != NOTE
    }
    doors: dict[str, JsonObject] = {}
    links: list[JsonObject] = []
    for number, source, slot, target, target_slot, kind in graph["links"]:
        link: JsonObject = {"id": number, "origin_id": source, "origin_slot": slot, "target_id": target}
        link |= {"target_slot": target_slot, "type": kind}
        if source in outside:
            _enter(doors, chosen.sockets[outside[source]], link)
        links.append(link)
    fields = [_field(doors, links, nodes, *one) for one in chosen.fields]
    (decode,) = (node for node in nodes.values() if node["type"] == DECODE)
    video = len(links) + 1
    links.append(
        {"id": video, "origin_id": decode["id"], "origin_slot": VIDEO_SLOT}
        | {"target_id": OUTPUT, "target_slot": 0, "type": "VIDEO"}
    )
    for node in nodes.values():
        for slot, output in enumerate(node["outputs"]):
            ends = [
                link["id"] for link in links if (link["origin_id"], link["origin_slot"]) == (node["id"], slot)
            ]
            output["links"] = ends or None
    inside: JsonObject = {
        "groups": [],
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"evertalk/blueprint/{chosen.workflow}")),
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": max(nodes), "lastLinkId": len(links), "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "extra": {},
        "name": chosen.name,
        "description": chosen.description,
        "category": "EverTalk",
        "inputNode": {"id": INPUT, "bounding": [-400, 0, *SIDE_PX]},
        "outputNode": {"id": OUTPUT, "bounding": [4000, 0, *SIDE_PX]},
        "inputs": [_door(chosen, name, door) for name, door in doors.items()],
        "outputs": [{"id": _id(chosen, "video"), "name": "video", "type": "VIDEO", "linkIds": [video]}],
        "widgets": [],
        "nodes": list(nodes.values()),
        "links": links,
    }
    return _around(chosen, inside, doors, fields)


def _enter(doors: dict[str, JsonObject], name: str, link: JsonObject) -> None:
    """Have a link begin at a door, made where it is not there yet."""
    door = doors.setdefault(name, {"slot": len(doors), "type": link["type"], "links": [], "is_field": False})
    door["links"].append(link["id"])
    link |= {"origin_id": INPUT, "origin_slot": door["slot"]}


def _field(
    doors: dict[str, JsonObject],
    links: list[JsonObject],
    nodes: dict[int, JsonObject],
    kind: str,
    name: str,
) -> Any:
    """Put a node's field on the outside; its value."""
    (node,) = (one for one in nodes.values() if one["type"] == kind)
    slot = next(i for i, one in enumerate(node["inputs"]) if one["name"] == name)
    link: JsonObject = {"id": len(links) + 1, "target_id": node["id"], "target_slot": slot}
    link |= {"type": node["inputs"][slot]["type"]}
    _enter(doors, name, link)
    doors[name]["is_field"] = True
    links.append(link)
    node["inputs"][slot]["link"] = link["id"]
    place = [one["name"] for one in node["inputs"] if "widget" in one].index(name)
    control = any(one["name"] == "seed" for one in node["inputs"] if "widget" in one)
    before = [one["name"] for one in node["inputs"] if "widget" in one][:place]
    return node["widgets_values"][place + (control and "seed" in before)]


def _id(chosen: Blueprint, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"evertalk/blueprint/{chosen.workflow}/{name}"))


def _door(chosen: Blueprint, name: str, door: JsonObject) -> JsonObject:
    return {"id": _id(chosen, name), "name": name, "type": door["type"], "linkIds": door["links"]}


def _around(
    chosen: Blueprint, inside: JsonObject, doors: dict[str, JsonObject], fields: list[Any]
) -> JsonObject:
    """The one node that people see, with what is in it."""
    names = [name for name, door in doors.items() if door["is_field"]]
    sockets = [
        {"name": name, "type": door["type"], "link": None}
        | ({"widget": {"name": name}} if door["is_field"] else {})
        for name, door in doors.items()
    ]
    node: JsonObject = {
        "id": 1,
        "type": inside["id"],
        "pos": [0, 0],
        "size": [WIDTH, HEIGHT],
        "flags": {},
        "order": 0,
        "mode": 0,
        "title": chosen.name,
        "inputs": sockets,
        "outputs": [{"name": "video", "type": "VIDEO", "links": None}],
        "properties": {"proxyWidgets": [["-1", name] for name in names]},
        "widgets_values": fields,
    }
    return {
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [node],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [inside]},
        "extra": {},
    }
