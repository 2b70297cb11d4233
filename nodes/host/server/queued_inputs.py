"""What a queued prompt gives our nodes, mended before ComfyUI looks at it.

In a prompt a list is a link, so the editor wraps a list that is a value: `{"__value__": [...]}`. ComfyUI
unwraps it while it validates and may mistake it for a link afterwards, which can end its worker thread, and
with it every later job. No input of the pack takes a list. So here such a value becomes a text, which is
refused as any wrong text is.

ComfyUI passes over inputs that a node does not know, yet follows the links in them: 20,000 of them on one
node, its own nodes included, keep its worker busy for half a minute. Ours lose those they do not know.
"""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from comfy_api.latest import io

from .posted_prompt import with_nodes_changed

LOG = logging.getLogger("evertalk")

WRAPPER = "__value__"

MAX_INPUTS = 1000
"""Of one node, above which the unknown are left out. A saved workflow may have a few, of an older release."""


def with_plain_inputs(
    ours: Mapping[str, type[io.ComfyNode]], asked: Any, most_inputs: int = MAX_INPUTS
) -> Any:
    """The body of a request to /prompt with the inputs of our nodes mended; all else as it came.

    Args:
        ours: the pack's nodes by the class names that prompts use.
        asked: the body.
        most_inputs: of one node, above which the unknown are left out.
    """
    return with_nodes_changed(asked, partial(_mended, ours, most_inputs))


def _mended(
    ours: Mapping[str, type[io.ComfyNode]],
    most_inputs: int,
    node_id: str,
    node: Mapping[str, object],
    inputs: Mapping[str, object],
) -> object:
    kind = cast("str", node["class_type"])
    if kind not in ours:
        return node
    if len(inputs) > most_inputs:
        known = {expected.id for expected in ours[kind].define_schema().inputs}
        LOG.warning(
            "%s %.40r: %d inputs came, of which it knows %d; the others are left out",
            *(kind, node_id, len(inputs), len(known & inputs.keys())),
        )
        inputs = {name: value for name, value in inputs.items() if name in known}
    return {**node, "inputs": {name: _as_text(value) for name, value in inputs.items()}}


def _as_text(value: object) -> object:
    """A wrapped list, in as many layers as there are, as text; any other value as it is."""
    inner = value
    while isinstance(inner, Mapping) and WRAPPER in inner:
        inner = cast("Mapping[str, object]", inner)[WRAPPER]
    is_wrapped_list = isinstance(inner, list) and inner is not value
    return str(cast("list[object]", inner)) if is_wrapped_list else value
