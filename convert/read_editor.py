"""Reads the editor's form: names the fields' values, and follows links through all that only directs them."""

from collections.abc import Mapping
from typing import Any

from .errors import ConvertError
from .host_nodes import HostNodes
from .source import Link, Source, SourceNode
from .widgets import CONTROLLED, CONTROLS, WIDGETS

JsonObject = dict[str, Any]

MUTED, BYPASSED = 2, 4
"""The editor's numbers for nodes that do not run and for nodes that hand on what they get."""

NOTES = ("Note", "MarkdownNote", "Label (rgthree)", "Fast Groups Bypasser (rgthree)")
REROUTES = ("Reroute", "Reroute (rgthree)", "easy getNode", "ReroutePrimitive|pysssss")
MAX_STEPS = 1000
"""Of following a link; more of them are a circle."""

MAX_ALL_STEPS = 200_000
"""Of following all links, together."""


def read_editor(workflow: Mapping[str, Any], host: HostNodes) -> Source:
    """The nodes that run, with links from output to input.

    Raises:
        ConvertError: it has subgraphs, or links that go in circles.
    """
    return _Reader(workflow, host).read()


class _Reader:
    def __init__(self, workflow: Mapping[str, Any], host: HostNodes) -> None:
        self._host = host
        self._steps = 0
        self._nodes: dict[str, JsonObject] = {str(node["id"]): node for node in workflow["nodes"]}
        self._setters: dict[str, JsonObject] = {}
        for node in self._nodes.values():
            if node["type"] == "SetNode":
                self._setters.setdefault(_first_value(node), node)
        self._links: dict[int, Link] = dict(_link(one) for one in workflow.get("links") or [])
        subgraphs = {str(one["id"]) for one in (workflow.get("definitions") or {}).get("subgraphs") or []}
        used = [
            str(node.get("title") or node["type"])
            for node in self._nodes.values()
            if node["type"] in subgraphs
        ]
        if used:
            raise ConvertError(
                f"workflow: it has subgraphs ({', '.join(used)}), which are not read. Unpack them in the "
                "editor (right click, Unpack Subgraph), save, and convert again."
            )

    def read(self) -> Source:
        """The nodes that run, in the workflow's order."""
        directing = (*REROUTES, *NOTES, "SetNode", "GetNode", "PrimitiveNode")
        off = {node_id for node_id, node in self._nodes.items() if _mode(node) in (MUTED, BYPASSED)}
        nodes = {
            node_id: SourceNode(node_id, node["type"], node.get("title") or node["type"], self._inputs(node))
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
        for socket in node.get("inputs") or []:
            if socket.get("link") is not None:
                found = self._follow(self._links.get(socket["link"]))
                if found is not None:
                    values[socket["name"]] = found
        return values

    def _values(self, node: JsonObject) -> JsonObject:
        stored = node.get("widgets_values")
        if isinstance(stored, Mapping):  # nodes that name their fields themselves
            return dict(stored)  # pyright: ignore[reportUnknownArgumentType]
        listed = [socket["widget"]["name"] for socket in node.get("inputs") or [] if socket.get("widget")]
        known = list(WIDGETS.get(node["type"], ())) or self._host.fields(node["type"])
        return name_values(listed if len(listed) >= len(known) else known, list(stored or []))

    def _follow(self, link: Link | None) -> object:
        """Where a link really comes from: an output, a fixed value, or None."""
        for _ in range(MAX_STEPS):
            self._steps += 1
            if self._steps > MAX_ALL_STEPS:
                break
            node = None if link is None else self._nodes.get(link.node)
            if link is None or node is None:
                return None
            kind, mode = node["type"], _mode(node)
            if mode == MUTED:
                return None
            if kind == "PrimitiveNode":
                return (node.get("widgets_values") or [None])[0]
            if kind == "GetNode":
                link = self._set_by(_first_value(node))
            elif kind in (*REROUTES, "SetNode"):
                link = self._first_link(node)
            elif mode == BYPASSED:
                link = self._handed_on(node, link.slot)
            else:
                return link
        raise ConvertError(
            "workflow: its reroutes go in a circle; connect them to an output and save it again"
        )

    def _set_by(self, name: str) -> Link | None:
        setter = self._setters.get(name)
        return None if setter is None else self._first_link(setter)

    def _first_link(self, node: JsonObject) -> Link | None:
        given = [one["link"] for one in node.get("inputs") or [] if one.get("link") is not None]
        return self._links.get(given[0]) if given else None

    def _handed_on(self, node: JsonObject, slot: int) -> Link | None:
        """What a bypassed node gives at an output: its first input of that kind."""
        outputs = node.get("outputs") or []
        kind = outputs[slot]["type"] if slot < len(outputs) else None
        given = [
            one["link"]
            for one in node.get("inputs") or []
            if one["type"] == kind and one.get("link") is not None
        ]
        return self._links.get(given[0]) if given else None


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


def _link(one: Any) -> tuple[int, Link]:
    """A link's number and where it comes from; the editor has two forms of it."""
    if isinstance(one, Mapping):
        return one["id"], Link(str(one["origin_id"]), int(one["origin_slot"]))  # pyright: ignore[reportUnknownArgumentType]
    return one[0], Link(str(one[1]), int(one[2]))


def _mode(node: JsonObject) -> int:
    return node.get("mode") or 0


def _first_value(node: JsonObject) -> str:
    return str((node.get("widgets_values") or [""])[0])
