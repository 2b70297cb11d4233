"""The prompt that the server is looking at: for checks that need more than one node's widgets.

The host gives a node's `validate_inputs` the node's own values alone, so what was posted is noted before.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from comfy_execution.utils import get_executing_context

from ..report.widget_values import WidgetValues
from ..run.request import OutputForm
from ..run.video_file import check_prefix, stand_in


@dataclass(frozen=True)
class _Asked:
    """The body of a request to /prompt."""

    body: Mapping[str, Any]

    @property
    def nodes(self) -> Mapping[str, Any]:
        prompt = self.body.get("prompt")
        return cast("Mapping[str, Any]", prompt) if isinstance(prompt, Mapping) else {}

    @cached_property
    def values(self) -> WidgetValues:
        """For all samplers of the prompt: it is looked through once."""
        extra_data = self.body.get("extra_data")
        extra: object = (
            cast("Mapping[str, Any]", extra_data).get("extra_pnginfo")
            if isinstance(extra_data, Mapping)
            else None
        )
        return WidgetValues(self.nodes, extra)


_ASKED: ContextVar[_Asked | None] = ContextVar("evertalk_asked", default=None)
"""Of each request its own: it is looked at in the task that took it."""


def note_asked(asked: dict[str, Any]) -> dict[str, Any]:
    """Note the body of a request to /prompt; it goes on as it came."""
    _ASKED.set(_Asked(asked))
    return asked


def check_queued_prefix(prefix: str | None) -> None:
    """Refuse to queue the sampler that is looked at with a prefix that no file can have.

    Args:
        prefix: None where a link will bring it, which is checked when it has.

    Raises:
        InputError, RunStoreError: see check_prefix.
    """
    inputs, widget = _looked_at()
    if isinstance(prefix, str) and inputs.get("output") != OutputForm.LATENT.value:
        check_prefix(prefix, widget or stand_in)


def _looked_at() -> tuple[Mapping[str, Any], WidgetValues | None]:
    """The inputs of the node that is looked at, and the values around it, if it was posted to /prompt."""
    asked, context = _ASKED.get(), get_executing_context()
    if asked is None or context is None or context.node_id not in asked.nodes:
        return {}, None
    return asked.nodes[context.node_id]["inputs"], asked.values.asked_by(context.node_id)
