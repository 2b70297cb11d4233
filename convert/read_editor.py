"""Reads the editor's form: names the fields' values, and follows links through all that only directs them."""

from collections.abc import Mapping
from typing import Any

from .errors import ConvertError
from .host_nodes import HostNodes
from .promoted import JsonObject, link_ends
from .sockets import ANY
from .source import Link, Source, SourceNode
from .subgraphs import BOUNDARY, SETTERS, unpacked
from .widgets import CONTROL, CONTROLLED, CONTROLS, WIDGETS

MUTED, BYPASSED = 2, 4
"""The editor's numbers for nodes that do not run and for nodes that hand on what they get."""

NOTES = (
    "Note",
    "MarkdownNote",
    *("Anything Everywhere", "Anything Everywhere3", "Anything Everywhere?", "Prompts Everywhere"),
    *(
        f"{name} (rgthree)"
        for name in (
            "Bookmark",
            "Fast Actions Button",
            "Fast Bypasser",
            "Fast Groups Bypasser",
            "Fast Groups Muter",
            "Fast Muter",
            "Label",
            "Mute / Bypass Relay",
            "Mute / Bypass Repeater",
            "Node Collector",
            "Random Unmuter",
        )
    ),
)
"""Nodes of the editor alone: what they are connected to takes nothing from them, and they take nothing."""

REROUTES = ("Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss")
MAX_STEPS = 1000
"""Of following a link; more of them are a circle."""

MAX_ALL_STEPS = 200_000
"""Of following all links, together."""


def read_editor(workflow: Mapping[str, Any], host: HostNodes, max_all_steps: int = MAX_ALL_STEPS) -> Source:
    """The nodes that run, with links from output to input.

    Raises:
        ConvertError: subgraphs that cannot be unpacked, or links that go in circles.
    """
    return _Reader(unpacked(workflow), host, max_all_steps).read()


class _Reader:
    def __init__(self, workflow: Mapping[str, Any], host: HostNodes, steps_left: int) -> None:
        self._host, self._steps_left = host, steps_left
        # Use Everywhere connects inputs without a link, and saves what it has connected.
        implied = (workflow.get("extra") or {}).get("ue_links") or []
        self._implied = {
            (str(one["downstream"]), int(one["downstream_slot"])): Link(
                str(one["upstream"]), int(one["upstream_slot"])
            )
            for one in implied
        }
        self._nodes: dict[str, JsonObject] = {str(node["id"]): node for node in workflow["nodes"]}
        self._setters: dict[tuple[str, str], JsonObject] = {}
        for node in self._nodes.values():
            if node["type"] in SETTERS.values():
                self._setters.setdefault((node["type"], _first_value(node)), node)
        ends = (link_ends(link) for link in workflow.get("links") or [])
        self._links = {link_id: Link(origin, slot) for link_id, origin, slot, *_ in ends}

    def read(self) -> Source:
        """The nodes that run, in the workflow's order."""
        directing = (*REROUTES, *NOTES, *SETTERS, *SETTERS.values(), "PrimitiveNode", BOUNDARY)
        off = {node_id for node_id, node in self._nodes.items() if _mode(node) in (MUTED, BYPASSED)}
        nodes = {
            node_id: SourceNode(
                node_id, node["type"], node.get("title") or node["type"], self._inputs(node), *_types(node)
            )
            for node_id, node in self._nodes.items()
            if node["type"] not in directing and node_id not in off
        }
        silent = [
            f"{node.get('title') or node['type']} #{node_id}"
            for node_id, node in self._nodes.items()
            if node["type"] in NOTES or (node_id in off and node["type"] not in directing)
        ]
        return Source(nodes, tuple(silent))

    def _inputs(self, node: JsonObject) -> dict[str, object]:
        values: dict[str, object] = dict(self._values(node))
        for index, socket in enumerate(node.get("inputs") or []):
            number = socket.get("link")
            implied = self._implied.get((str(node["id"]), index))
            found = self._follow(implied if number is None else self._links.get(number))
            if found is not None:
                values[socket["name"]] = found
        return values

    def _values(self, node: JsonObject) -> JsonObject:
        return {**self._stored(node), **node.get("promoted", {})}

    def _stored(self, node: JsonObject) -> JsonObject:
        named, stored = node.get("widgets_values_named"), node.get("widgets_values")
        if isinstance(named, Mapping):  # newer editors save the names too
            return {name: value for name, value in named.items() if name != CONTROL}  # pyright: ignore[reportUnknownVariableType]
        if isinstance(stored, Mapping):  # nodes that name their fields themselves
            return dict(stored)  # pyright: ignore[reportUnknownArgumentType]
        listed = [socket["widget"]["name"] for socket in node.get("inputs") or [] if socket.get("widget")]
        known = list(WIDGETS.get(node["type"], ())) or self._host.fields(node["type"], stored or ())
        return name_values(listed if len(listed) >= len(known) else known, list(stored or []))

    def _follow(self, link: Link | None) -> object:
        """Where a link really comes from: an output, a fixed value, or None."""
        for _ in range(min(MAX_STEPS, self._steps_left)):
            self._steps_left -= 1
            node = None if link is None else self._nodes.get(link.node)
            if link is None or node is None:
                return None
            kind, mode = node["type"], _mode(node)
            if mode == MUTED:
                return None
            if kind == "PrimitiveNode":
                return (node.get("widgets_values") or [None])[0]
            if kind in SETTERS:
                link = self._set_by(SETTERS[kind], _first_value(node))
            elif kind in (*REROUTES, *SETTERS.values()):
                link = self._first_link(node)
            elif kind == BOUNDARY:
                edge = node["inputs"][link.slot]
                implied = self._implied.get(edge.get("socket", ()))
                link = implied if edge["link"] is None else self._links.get(edge["link"])
                if link is None:
                    return edge.get("value")
            elif mode == BYPASSED:
                link = self._handed_on(node, link.slot)
            else:
                return link
        raise ConvertError(
            "workflow: its reroutes go in a circle; connect them to an output and save it again"
        )

    def _set_by(self, kind: str, name: str) -> Link | None:
        setter = self._setters.get((kind, name))
        return None if setter is None else self._first_link(setter)

    def _first_link(self, node: JsonObject) -> Link | None:
        given = [one["link"] for one in node.get("inputs") or [] if one.get("link") is not None]
        return self._links.get(given[0]) if given else None

    def _handed_on(self, node: JsonObject, slot: int) -> Link | None:
        """What a bypassed node gives at an output: its input at the same place if that fits, else the first.

        As in the editor: an input that fits and is not connected gives nothing.
        """
        inputs, outputs = node.get("inputs") or [], node.get("outputs") or []
        kind = outputs[slot]["type"] if slot < len(outputs) else ANY
        same_place = inputs[slot : slot + 1]
        exact = [one for one in inputs if one["type"] == kind]
        loose = [one for one in inputs if ANY in (one["type"], kind)]
        fitting = [one for one in same_place if one in exact or one in loose] + exact + loose
        return self._links.get(fitting[0].get("link")) if fitting else None


def name_values(names: list[str], values: list[Any]) -> JsonObject:
    """The values of a node's fields by name; what becomes of a seed after a run is left out."""
    named: JsonObject = {}
    rest = list(values)
    for name in names:
        if not rest:
            break
        named[name] = rest.pop(0)
        if name in CONTROLLED and rest and rest[0] in CONTROLS:
            rest.pop(0)
    return named


def _types(node: JsonObject) -> tuple[dict[str, str], tuple[str, ...]]:
    """The types of a node's inputs by name, and of its outputs, as far as they are saved."""
    inputs = {one["name"]: one["type"] for one in node.get("inputs") or [] if _is_text(one.get("type"))}
    return inputs, tuple(str(one.get("type") or ANY) for one in node.get("outputs") or [])


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _mode(node: JsonObject) -> int:
    return node.get("mode") or 0


def _first_value(node: JsonObject) -> str:
    return str((node.get("widgets_values") or [""])[0])
