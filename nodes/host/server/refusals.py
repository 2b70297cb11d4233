"""Says which widget a refused prompt is refused for.

A node's `validate_inputs` answers with one sentence, and the host gives that sentence to every widget the
function looks at: of three files with one missing, all three are marked. The pack's sentences begin with the
name of the widget that is wrong, so the server's answer to a refused prompt is put right by that, before a
client reads it.
"""

import json
import re
from typing import Any

from aiohttp import web

from ..report.routes import Answer

OURS = "EverTalk"
PATH_END = "/prompt"
"""The host takes prompts under /prompt and /api/prompt."""

REFUSED_BY_NODE = "custom_validation_failed"
"""The host's type of what a `validate_inputs` has said."""

FIRST_WORD = re.compile(r"\w+")


@web.middleware
async def name_the_widget(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Put right what the host answers to a prompt; every other answer goes on as it is."""
    response = await handler(request)
    is_prompt = request.method == "POST" and request.path.endswith(PATH_END)
    if is_prompt and isinstance(response, web.Response) and response.content_type == "application/json":
        answer = json.loads(response.text or "null")
        node_errors = answer.get("node_errors") if isinstance(answer, dict) else None
        if isinstance(node_errors, dict) and without_repeats(node_errors):
            response.text = json.dumps(answer)
    return response


def without_repeats(node_errors: dict[str, Any]) -> bool:
    """Leave a refusal of our nodes at the widget that it names, and take it off the others.

    Args:
        node_errors: the host's answer: what is wrong with each node, by its id; changed in place.

    Returns:
        Whether anything was changed.
    """
    has_changed = False
    for node in node_errors.values():
        if not str(node.get("class_type", "")).startswith(OURS):
            continue
        errors = node["errors"]
        named = {_sentence(error): _widget(error) for error in errors if _names_its_widget(error)}
        kept = [error for error in errors if named.get(_sentence(error), _widget(error)) == _widget(error)]
        has_changed = has_changed or len(kept) < len(errors)
        node["errors"] = kept
    return has_changed


def _widget(error: dict[str, Any]) -> str:
    return str(error.get("extra_info", {}).get("input_name", ""))


def _sentence(error: dict[str, Any]) -> str | None:
    """What our node said; None for what the host itself says."""
    prefix = f"{_widget(error)} - "
    details = str(error.get("details", ""))
    if error.get("type") != REFUSED_BY_NODE or not details.startswith(prefix):
        return None
    return details.removeprefix(prefix)


def _names_its_widget(error: dict[str, Any]) -> bool:
    first = FIRST_WORD.match(_sentence(error) or "")
    return first is not None and first.group() == _widget(error)
