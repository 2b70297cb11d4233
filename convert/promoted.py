"""The values that a subgraph's node holds for widgets of the nodes inside, in one of three forms.

The oldest editors keep a list `proxyWidgets` of `[inner node, widget]`, whose values stand inside, or beside
the list where the node holds its own; later ones keep `["-1", input]` for widgets that are inputs of the
subgraph; the newest keep no list at all, and one value for each input that is a widget.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .widgets import CONTROL, CONTROLLED, CONTROLS

JsonObject = dict[str, Any]

OWN_INPUT = "-1"
"""Stands in place of an inner node where a widget is an input of the subgraph."""

INPUTS_ID = -10
"""The editor's id of what a subgraph gets, as if it were a node inside."""

PREVIEW = "$$"
"""What the names of pictures that are shown, and are not widgets, begin with."""


@dataclass(slots=True)
class Promoted:
    """Values that a subgraph's node holds.

    Attributes:
        inputs: by the place of an input of the subgraph.
        nodes: by the id of a node inside and the name of its widget.
    """

    inputs: dict[int, Any] = field(default_factory=dict[int, Any])
    nodes: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])


def promoted_values(instance: JsonObject, definition: JsonObject) -> Promoted:
    """The values that a node holds for the subgraph that it stands for."""
    targets = _widget_targets(definition)
    places = {(OWN_INPUT, str(one["name"])): place for place, one in _named_inputs(definition)}
    places |= {target: place for place, target in reversed(targets.items())}
    found = Promoted()
    for node_id, widget, value in _held(instance, definition, targets):
        if value is None or widget in (CONTROL, "") or widget.startswith(PREVIEW):
            continue
        place = places.get((node_id, widget))
        if place is not None:
            found.inputs[place] = value
        elif node_id != OWN_INPUT:
            found.nodes.setdefault(node_id, {})[widget] = value
    by_widget = {target[1]: place for place, target in reversed(targets.items())}
    listed = {widget: node_id for node_id, widget in _listed(instance) if node_id != OWN_INPUT}
    for widget, value in instance.get("promoted", {}).items():  # from the subgraph around this one
        place = places.get((OWN_INPUT, widget), by_widget.get(widget))
        if place is not None:
            found.inputs[place] = value
        elif widget in listed:
            found.nodes.setdefault(listed[widget], {})[widget] = value
    return found


def _held(
    instance: JsonObject, definition: JsonObject, targets: Mapping[int, tuple[str, str]]
) -> Iterator[tuple[str, str, Any]]:
    """Inner node, widget and value, for every value that a node holds."""
    named, stored = instance.get("widgets_values_named"), instance.get("widgets_values")
    values: list[Any] = list(stored) if isinstance(stored, list) else []  # pyright: ignore[reportUnknownArgumentType]
    listed = _listed(instance)
    if isinstance(named, Mapping):
        yield from ((OWN_INPUT, str(name), value) for name, value in named.items())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    elif listed:
        yield from ((*entry, value) for entry, value in zip(listed, values, strict=False))
    else:
        has_controls = len(values) > len(targets)
        for place, (_, widget) in targets.items():
            if not values:
                return
            yield OWN_INPUT, str(definition["inputs"][place]["name"]), values.pop(0)
            if has_controls and widget in CONTROLLED and values and values[0] in CONTROLS:
                values.pop(0)


def _listed(instance: JsonObject) -> list[tuple[str, str]]:
    listed: Any = (instance.get("properties") or {}).get("proxyWidgets") or []
    entries: list[Any] = json.loads(listed) if isinstance(listed, str) else listed
    return [(str(entry[0]), str(entry[1])) for entry in entries]


def _widget_targets(definition: JsonObject) -> dict[int, tuple[str, str]]:
    """For each input of a subgraph that is a widget: a node inside that takes it, and its widget there."""
    sockets = {
        socket["link"]: (str(node["id"]), str(socket["widget"]["name"]))
        for node in definition.get("nodes") or []
        for socket in node.get("inputs") or []
        if socket.get("link") is not None and socket.get("widget")
    }
    found: dict[int, tuple[str, str]] = {}
    for link_id, origin, slot in (link_ends(link)[:3] for link in definition.get("links") or []):
        if origin == str(INPUTS_ID) and link_id in sockets:
            found.setdefault(slot, sockets[link_id])
    return dict(sorted(found.items()))


def _named_inputs(definition: JsonObject) -> Iterator[tuple[int, JsonObject]]:
    """The inputs of a subgraph with their places, the first of a name last."""
    yield from reversed(list(enumerate(definition.get("inputs") or [])))


def link_ends(link: Any) -> tuple[Any, str, int, str, int]:
    """A link's number, the node and output it comes from, the node and input it goes to."""
    if isinstance(link, Mapping):
        ends = [link.get(name) for name in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    else:
        ends = [*link, None, None][:5]
    return ends[0], str(ends[1]), int(ends[2]), str(ends[3]), int(ends[4] or 0)  # pyright: ignore[reportArgumentType, reportUnknownArgumentType]
