"""Values of a queued workflow's widgets, by the names that people see: what a prefix's tokens ask for.

As in the host's editor, a node is called by its property "Node name for S&R", which is its type unless
somebody changed it, or else by its title. An API's prompt without the editor's workflow has types, and
titles where the editor exported it.
"""

from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import Any, cast

from ....attention.plain_text import plain
from ....multitalk.common.name_tokens import NoValueError
from ....multitalk.common.safe_path import MAX_PREFIX_CHARACTERS, as_name

PRIMITIVES = (
    "PrimitiveInt",
    "PrimitiveFloat",
    "PrimitiveString",
    "PrimitiveStringMultiline",
    "PrimitiveBoolean",
)
"""ComfyUI's nodes that give the value of their only widget; the editor knows them too (web/graph.js)."""

MAX_PRIMITIVES = 8
"""One after the other; more are not followed."""

CALLED = "Node name for S&R"
SHOWN_CHARACTERS = 40
"""Of a value in a sentence."""

JsonMapping = Mapping[str, Any]


class WidgetValues:
    """Gives values of widgets; called with a node's name and a widget's.

    Args:
        prompt: the queued prompt.
        extra_pnginfo: what came with it, in which the editor's workflow may be. Both are a client's, so that
            anything may be in there; what is none is not looked into.
        own_id: of the node that asks. Where several have the name, it means itself.
    """

    def __init__(self, prompt: object, extra_pnginfo: object = None, own_id: str = "") -> None:
        self._names = NodeNames(prompt, extra_pnginfo)
        self._known: dict[tuple[str, str], str] = {}
        self._own_id = own_id

    def asked_by(self, node_id: str) -> "WidgetValues":
        """The same for another node, without looking through the workflow again."""
        other = copy(self)
        other._own_id = node_id
        return other

    def __call__(self, name: str, widget: str) -> str:
        """The value as a part of a name: what none may hold is `_`.

        Raises:
            NoValueError: there is no such node or widget, it has no value yet, or several differ, or it is
                longer than any name.
        """
        called = self._names.called(name)
        if self._own_id in called:
            return self._value(name, widget, [self._own_id])
        if (name, widget) not in self._known:
            self._known[name, widget] = self._value(name, widget, list(called))
        return self._known[name, widget]

    def _value(self, name: str, widget: str, ids: list[str]) -> str:
        if not ids:
            raise NoValueError(f"no node that runs has the title or type {name!r}")
        inputs = [_object(self._names.nodes[node_id]["inputs"]) for node_id in ids]
        holding = [one for one in inputs if widget in one]
        if not holding:
            offered = ", ".join(
                sorted({name for one in inputs for name, value in one.items() if not _link(value)})
            )
            raise NoValueError(f"{name} has no widget {widget!r}, only {plain(offered, 300)}")
        texts = list(dict.fromkeys(_text(self._followed(one[widget])) for one in holding))
        if len(texts) > 1:
            shown = " and ".join(repr(plain(text, SHOWN_CHARACTERS)) for text in texts[:2])
            raise NoValueError(
                f"{len(ids)} nodes are called {name!r}, and their {widget} differ ({shown}): give one a "
                "title of its own"
            )
        if len(texts[0]) > MAX_PREFIX_CHARACTERS:
            raise NoValueError(
                f"it has {len(texts[0])} characters, and a prefix {MAX_PREFIX_CHARACTERS} at most"
            )
        return as_name(texts[0])

    def _followed(self, value: object) -> object:
        for _ in range(MAX_PRIMITIVES):
            source = self._names.nodes.get(_link(value))
            if source is None or source.get("class_type") not in PRIMITIVES:
                break
            value = _object(source["inputs"]).get("value")
        return value


class NodeNames:
    """The nodes of a prompt, and what they are called; looked through when the first is asked for."""

    def __init__(self, prompt: object, extra_pnginfo: object) -> None:
        self.nodes = {
            node_id: node
            for node_id, node in _object(prompt).items()
            if isinstance(node, Mapping) and isinstance(node.get("inputs"), Mapping)
        }
        self._extra = extra_pnginfo

    def called(self, name: str) -> Mapping[str, None]:
        """The ids of the nodes of a name: of the names that they may have, the first kind that any has."""
        return next((ids[name] for ids in self._ids if name in ids), {})

    @cached_property
    def _ids(self) -> list[dict[str, dict[str, None]]]:
        workflow = SavedNodes(_object(self._extra).get("workflow"))
        kinds: list[dict[str, dict[str, None]]] = [{}, {}, {}, {}]
        for node_id, node in self.nodes.items():
            saved, kind = workflow.node(node_id), node.get("class_type")
            called = _object(saved.get("properties")).get(CALLED, kind)
            own = (called, saved.get("title"), _object(node.get("_meta")).get("title"), kind)
            for ids, one in zip(kinds, own, strict=True):
                if isinstance(one, str):
                    ids.setdefault(one, {})[node_id] = None
        return kinds


class SavedNodes:
    """The nodes of an editor's workflow by the ids of the prompt that was made of it.

    In a prompt, a node in a subgraph is called after the nodes that it is in: `7:3`.
    """

    def __init__(self, workflow: object) -> None:
        fields = _object(workflow)
        self._top = _by_id(fields.get("nodes"))
        graphs = _by_id(_object(fields.get("definitions")).get("subgraphs"))
        self._inside = {graph_id: _by_id(graph.get("nodes")) for graph_id, graph in graphs.items()}

    def node(self, prompt_id: str) -> JsonMapping:
        """A node; empty if it is not there."""
        nodes = self._top
        node: JsonMapping = {}
        for part in prompt_id.split(":"):
            node = nodes.get(part, {})
            nodes = self._inside.get(str(node.get("type")), {})
        return node


def _object(value: object) -> JsonMapping:
    return cast("JsonMapping", value) if isinstance(value, Mapping) else {}


def _by_id(listed: object) -> dict[str, JsonMapping]:
    found = cast("list[object]", listed) if isinstance(listed, list) else []
    return {str(_object(one).get("id")): _object(one) for one in found}


def _link(value: object) -> str:
    """The node that a link comes from; empty for a widget's value."""
    match value:
        case [node_id, int()]:
            return str(node_id)
        case _:
            return ""


def _text(value: object) -> str:
    """A value as the editor's language spells it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    if _link(value):
        raise NoValueError("it comes over a link, and is not known before the workflow runs")
    raise NoValueError(f"it is a {type(value).__name__}, not text or a number")
