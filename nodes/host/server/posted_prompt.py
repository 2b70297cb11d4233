"""The body of a request to /prompt, changed node by node before the server looks at it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

Change: TypeAlias = Callable[[str, Mapping[str, object], Mapping[str, object]], object]
"""A node's id, the node, and its inputs -> the node in its place."""


def with_nodes_changed(asked: Any, change: Change) -> Any:
    """The body with every node changed that has a class and inputs; all else is as it came.

    Any JSON may come, a list for instance; what is not a prompt is the host's to refuse.
    """
    prompt = cast("Mapping[str, object]", asked).get("prompt") if isinstance(asked, Mapping) else None
    if not isinstance(prompt, Mapping):
        return asked
    nodes = cast("Mapping[str, object]", prompt)
    return {**asked, "prompt": {node_id: _changed(node_id, node, change) for node_id, node in nodes.items()}}


def _changed(node_id: str, node: object, change: Change) -> object:
    if not isinstance(node, Mapping):
        return node
    fields = cast("Mapping[str, object]", node)
    inputs = fields.get("inputs")
    if not isinstance(fields.get("class_type"), str) or not isinstance(inputs, Mapping):
        return node
    return change(node_id, fields, cast("Mapping[str, object]", inputs))
