"""Queued graphs in which EverTalk Text Embeddings saves: EverTalk Save Text Embeddings runs in its place.

Whether a node is an output node is settled for its class, not for its widgets. As one, it ran beside a
sampler that was refused, and the server called the queue a success although nothing was to be saved. As none,
a graph saved earlier whose only end it is would not run any more. So it is none, and where it saves it is
queued as the node that is.
"""

from collections.abc import Mapping
from typing import Any, cast

EMBEDS, SAVER = "EverTalkTextEmbeds", "EverTalkSaveTextEmbeds"
ENCODE = "none (encode)"
"""The first entry of EverTalkTextEmbeds' `file`: take the conditioning and save it."""

SAVED_INPUTS = ("save_as", "conditioning")


def with_savers(asked: Any) -> Any:
    """The body of a request to /prompt, changed where EverTalk Text Embeddings saves; else as it came.

    Any JSON may come, a list for instance; what is no prompt is the host's to refuse.
    """
    prompt = cast("Mapping[str, object]", asked).get("prompt") if isinstance(asked, Mapping) else None
    if not isinstance(prompt, Mapping):
        return asked
    nodes = cast("Mapping[str, object]", prompt)
    return {**asked, "prompt": {node_id: _saver_for(node) for node_id, node in nodes.items()}}


def _saver_for(node: object) -> object:
    """The node that saves in the place of one that would, or the node itself."""
    if not isinstance(node, Mapping):
        return node
    fields = cast("Mapping[str, object]", node)
    inputs = fields.get("inputs")
    if fields.get("class_type") != EMBEDS or not isinstance(inputs, Mapping):
        return node
    values = cast("Mapping[str, object]", inputs)
    name = values.get("save_as")
    if values.get("file") != ENCODE or not name or (isinstance(name, str) and not name.strip()):
        return node
    kept = {name: values[name] for name in SAVED_INPUTS if name in values}
    return {**fields, "class_type": SAVER, "inputs": kept}
