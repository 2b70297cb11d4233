"""Reads a workflow: either form, the API's or the editor's."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from .errors import ConvertError
from .host_nodes import HostNodes
from .read_editor import read_editor
from .source import Link, Source, SourceNode

DAMAGE = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError)
"""What values of a wrong kind end in, wherever they are used: texts for numbers, lists for names, circles."""

SHOWN_DIGITS = 6
"""After the decimal point; no field of these nodes has finer steps."""

MAX_NODES = 10_000
"""Workflows of WanVideoWrapper have some fifty, the largest that people share some hundreds."""

FORMS = "expected a workflow saved by ComfyUI's editor, or exported with File > Export (API)"


def read_workflow(workflow: object, host: HostNodes) -> Source:
    """The nodes and links of a workflow.

    Raises:
        ConvertError: it is not a workflow, or uses what is not read.
    """
    if not isinstance(workflow, Mapping):
        raise ConvertError(f"workflow: got {type(workflow).__name__}, {FORMS}")
    source = _read(cast("Mapping[str, Any]", workflow), host)
    return replace(source, nodes={node_id: _tidied(node) for node_id, node in source.nodes.items()})


def _read(fields: Mapping[str, Any], host: HostNodes) -> Source:
    listed = fields.get("nodes")
    if isinstance(listed, list):
        _check_count(len(cast("list[object]", listed)))
        try:
            return read_editor(fields, host)
        except ConvertError:
            raise
        except DAMAGE as error:
            damage = f"damaged nodes or links ({error!r})"
            raise ConvertError(f"workflow: got {damage}, {FORMS}") from error
    if isinstance(fields.get("prompt"), Mapping):  # the body of a request to /prompt
        fields = fields["prompt"]
    _check_count(len(fields))
    nodes = {str(node_id): _api_node(str(node_id), node) for node_id, node in fields.items()}
    if not nodes:
        raise ConvertError(f"workflow: it has no nodes; {FORMS}")
    return Source(nodes)


def _tidied(node: SourceNode) -> SourceNode:
    """A node whose numbers are those that the editor shows: it adds steps to floats, and saves the errors."""
    return replace(node, inputs={name: tidied(value) for name, value in node.inputs.items()})


def tidied(value: object) -> object:
    """A number without the rounding errors of sums (0.5000000000000001 is 0.5); anything else as it is."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    shown = round(value, SHOWN_DIGITS)
    return shown if math.isclose(value, shown, rel_tol=1e-9, abs_tol=1e-12) else value


def _check_count(nodes: int) -> None:
    if nodes > MAX_NODES:
        raise ConvertError(
            f"workflow: it has {nodes:,} nodes, expected {MAX_NODES:,} at most; take out others"
        )


def _api_node(node_id: str, node: object) -> SourceNode:
    fields = cast("Mapping[str, Any]", node) if isinstance(node, Mapping) else {}
    kind, inputs = fields.get("class_type"), fields.get("inputs")
    if not isinstance(kind, str) or not isinstance(inputs, Mapping):
        raise ConvertError(f"workflow: {node_id!r} is not a node with a class_type and inputs; {FORMS}")
    about = fields.get("_meta")
    title = str(
        (cast("Mapping[str, Any]", about).get("title") if isinstance(about, Mapping) else None) or kind
    )
    values = {str(name): _api_value(value) for name, value in cast("Mapping[str, Any]", inputs).items()}
    return SourceNode(node_id, kind, title, values)


def _api_value(value: Any) -> object:
    match value:
        case [str(node), int(slot)]:
            return Link(node, slot)
        case _:
            return value
