"""The prompt that the server is looking at: for checks that need more than one node's widgets.

The host gives a node's `validate_inputs` the node's own values alone, so what was posted is noted before.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, cast

from comfy_execution.utils import get_executing_context

from ...multitalk.errors import InputError
from .request import OutputForm
from .video_file import check_prefix, stand_in
from .widget_values import WidgetValues

_ASKED: ContextVar[Mapping[str, Any] | None] = ContextVar("evertalk_asked", default=None)
"""Of each request its own: it is looked at in the task that took it."""


def note_asked(asked: dict[str, Any]) -> dict[str, Any]:
    """Note the body of a request to /prompt; it goes on as it came."""
    _ASKED.set(asked)
    return asked


def prefix_refusal(prefix: str | None) -> str:
    """Why the sampler that is looked at cannot be queued with this prefix; nothing where it can.

    Args:
        prefix: None where a link will bring it, which is checked when it has.
    """
    inputs, widget = _looked_at()
    if not isinstance(prefix, str) or inputs.get("output") == OutputForm.LATENT.value:
        return ""
    try:
        check_prefix(prefix, widget or stand_in)
    except InputError as error:
        return str(error)
    return ""


def _looked_at() -> tuple[Mapping[str, Any], WidgetValues | None]:
    """The inputs of the node that is looked at, and the values around it, if it was posted to /prompt."""
    asked, context = _ASKED.get(), get_executing_context()
    prompt = None if asked is None else asked.get("prompt")
    if asked is None or context is None or not isinstance(prompt, Mapping):
        return {}, None
    nodes = cast("Mapping[str, Any]", prompt)
    if context.node_id not in nodes:
        return {}, None
    extra_data = asked.get("extra_data")
    extra = (
        cast("Mapping[str, Any]", extra_data).get("extra_pnginfo")
        if isinstance(extra_data, Mapping)
        else None
    )
    return nodes[context.node_id]["inputs"], WidgetValues(nodes, extra, context.node_id)
