"""Subgraphs of the editor's form, unpacked: their inner nodes as nodes of the workflow itself.

An inner node is called as the server calls it: `188:129` is node 129 inside of node 188.
"""

from collections.abc import Mapping
from typing import Any

from .errors import ConvertError
from .promoted import INPUTS_ID, JsonObject, link_ends, promoted_values

BOUNDARY = "edge of a subgraph"
"""The class of two nodes that are put in each subgraph's place: what it gets, and what it gives.

Their output is their input of the same place: the link there, or the value where nothing is connected.
"""

OUTPUTS_ID = -20
"""The editor's id of what a subgraph gives, as if it were a node inside."""

MAX_DEPTH = 32
MAX_PARTS = 100_000
"""Nodes' fields, links and sockets when all is unpacked: a subgraph of two of two subgraphs soon has many.

About four thousand nodes; the largest workflows that are published have some hundred.
"""

SETTERS = {"GetNode": "SetNode", "easy getNode": "easy setNode"}
"""Nodes that give what another node of the same name was given."""

GROUPED = ("workflow>", "workflow/")
"""What the types of group nodes begin with, the editor's own before it had subgraphs."""

OFF = (2, 4)
"""The editor's modes of nodes that do not run or that hand on what they get."""


def unpacked(
    workflow: Mapping[str, Any], max_depth: int = MAX_DEPTH, max_parts: int = MAX_PARTS
) -> Mapping[str, Any]:
    """A workflow without subgraphs that does the same.

    Raises:
        ConvertError: a subgraph holds itself, they are too deep or too many, or there are group nodes.
    """
    definitions = (workflow.get("definitions") or {}).get("subgraphs") or []
    if not definitions:
        _refuse_group_nodes(workflow["nodes"])
        return workflow
    unpacker = _Unpacker({str(one["id"]): one for one in definitions}, max_depth, max_parts)
    unpacker.unpack(workflow, (), ())
    return {**workflow, "nodes": unpacker.nodes, "links": unpacker.links}


class _Unpacker:
    def __init__(self, definitions: Mapping[str, JsonObject], max_depth: int, max_parts: int) -> None:
        self.nodes: list[JsonObject] = []
        self.links: list[JsonObject] = []
        self._definitions, self._max_depth, self._max_parts = definitions, max_depth, max_parts
        self._setters: set[tuple[tuple[str, ...], str, str]] = set()
        self._parts = 0

    def unpack(
        self,
        graph: Mapping[str, Any],
        path: tuple[str, ...],
        inside: tuple[str, ...],
        values: Mapping[str, JsonObject] | None = None,
    ) -> None:
        """Add a graph's nodes and links.

        Args:
            graph: the workflow, or a subgraph.
            path: the ids of the nodes that it is inside of.
            inside: the subgraphs that it is inside of, itself among them.
            values: for its nodes, values of widgets that are set outside.
        """
        self._count(len(graph.get("links") or []))
        _refuse_group_nodes(graph["nodes"])
        for link in graph.get("links") or []:
            link_id, origin, slot, *_ = link_ends(link)
            self.links.append(
                {"id": _inner(path, link_id), "origin_id": _inner(path, origin), "origin_slot": slot}
            )
        setters = (node for node in graph["nodes"] if node["type"] in SETTERS.values())
        self._setters |= {(path, node["type"], _first_value(node)) for node in setters}
        for node in graph["nodes"]:
            self._add(node, path, inside, (values or {}).get(str(node["id"])))

    def _add(
        self, node: JsonObject, path: tuple[str, ...], inside: tuple[str, ...], values: JsonObject | None
    ) -> None:
        definition = self._definitions.get(str(node["type"]))
        stored = node.get("widgets_values") or ()
        self._count(len(node) + len(node.get("inputs") or []) + len(node.get("outputs") or []) + len(stored))
        sockets = [
            {**socket, "link": None if socket.get("link") is None else _inner(path, socket["link"])}
            for socket in node.get("inputs") or []
        ]
        added: JsonObject = {**node, "id": _inner(path, node["id"]), "inputs": sockets}
        if values:
            added["promoted"] = values
        if definition is not None and (node.get("mode") or 0) not in OFF:
            self._instance(added, definition, (*path, str(node["id"])), inside)
            return
        if definition is not None:
            added["type"] = f"subgraph {definition.get('name') or ''}".strip()
        elif node["type"] in (*SETTERS, *SETTERS.values()):
            added["widgets_values"] = [self._scoped(path, _first_value(node), node["type"])]
        elif node["type"] == "PrimitiveNode" and values:
            added["widgets_values"] = [next(iter(values.values()))]
        self.nodes.append(added)

    def _instance(
        self, node: JsonObject, definition: JsonObject, path: tuple[str, ...], inside: tuple[str, ...]
    ) -> None:
        """Unpack one node that stands for a subgraph."""
        name, own_id = definition.get("name") or definition["id"], str(definition["id"])
        if own_id in inside:
            raise ConvertError(
                f"workflow: the subgraph {name} holds itself, so it has no end; take it out of itself, save "
                "and convert again"
            )
        if len(path) > self._max_depth:
            raise ConvertError(
                f"workflow: its subgraphs lie more than {self._max_depth} deep in each other; unpack some in "
                "the editor (right click, Unpack Subgraph), save and convert again"
            )
        listed = (node.get("properties") or {}).get("proxyWidgets") or ()
        around = (definition.get(name) or () for name in ("inputs", "outputs", "links", "nodes"))
        self._count(len(listed) + sum(len(part) for part in around))
        promoted = promoted_values(node, definition)
        ins = _edges_of(node, definition, promoted.inputs)
        outs: list[JsonObject] = [{"link": None} for _ in definition.get("outputs") or []]
        for link in definition.get("links") or []:
            link_id, _, _, target, slot = link_ends(link)
            if target == str(OUTPUTS_ID) and outs[slot]["link"] is None:
                outs[slot]["link"] = _inner(path, link_id)
        self.nodes.append({"id": node["id"], "type": BOUNDARY, "inputs": outs})
        self.nodes.append({"id": _inner(path, INPUTS_ID), "type": BOUNDARY, "inputs": ins})
        self.unpack(definition, path, (*inside, own_id), promoted.nodes)

    def _scoped(self, path: tuple[str, ...], name: str, kind: str) -> str:
        """A name of Set and Get as no other subgraph uses it; Get takes it from the nearest graph around."""
        around = (path[:depth] for depth in range(len(path), -1, -1))
        if kind not in SETTERS:
            return _inner(path, name)
        return _inner(
            next((one for one in around if (one, SETTERS[kind], name) in self._setters), path), name
        )

    def _count(self, parts: int) -> None:
        self._parts += parts
        if self._parts > self._max_parts:
            raise ConvertError(
                f"workflow: its subgraphs have more than {self._max_parts} parts when they are unpacked; "
                "convert a smaller workflow"
            )


def _edges_of(node: JsonObject, definition: JsonObject, values: Mapping[int, Any]) -> list[JsonObject]:
    """What comes in at each input of a subgraph: a link, what packs connect without one, or a value."""
    names = [str(one["name"]) for one in definition.get("inputs") or []]
    edges: list[JsonObject] = [{"link": None, "value": values.get(place)} for place in range(len(names))]
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    sockets = node["inputs"]  # newer editors leave out those of widgets that are not connected
    for index, socket in enumerate(sockets):
        place = places.get(str(socket["name"]), index if len(sockets) == len(names) else None)
        if place is not None and edges[place]["link"] is None:
            edges[place] |= {"link": socket["link"], "socket": (str(node["id"]), index)}
    return edges


def _refuse_group_nodes(nodes: list[JsonObject]) -> None:
    grouped = (node for node in nodes if str(node.get("type")).startswith(GROUPED))
    groups = [str(node.get("title") or node["type"]) for node in grouped]
    if groups:
        raise ConvertError(
            f"workflow: it has group nodes ({', '.join(groups)}), which are not read. Take them apart in the "
            "editor (right click, Convert to nodes), save, and convert again"
        )


def _inner(path: tuple[str, ...], own: Any) -> Any:
    """The name of something inside; what is in no subgraph keeps its own."""
    return ":".join([*path, str(own)]) if path else own


def _first_value(node: JsonObject) -> str:
    return str((node.get("widgets_values") or [""])[0])
