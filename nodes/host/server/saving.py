"""Queued graphs in which EverTalk Text Embeddings saves: EverTalk Save Text Embeddings runs in its place.

Whether a node is an output node is settled for its class, not for its widgets. As one, it ran beside a
sampler that was refused, and the server called the queue a success although nothing was to be saved. As none,
a graph saved earlier whose only end it is would not run any more. So it is none, and where it saves it is
queued as the node that is.
"""

from collections.abc import Mapping
from typing import Any

from .posted_prompt import with_nodes_changed

EMBEDS, SAVER = "EverTalkTextEmbeds", "EverTalkSaveTextEmbeds"
ENCODE = "none (encode)"
"""The first entry of EverTalkTextEmbeds' `file`: take the conditioning and save it."""

SAVED_INPUTS = ("save_as", "conditioning")


def with_savers(asked: Any) -> Any:
    """The body of a request to /prompt, changed where EverTalk Text Embeddings saves; else as it came."""
    return with_nodes_changed(asked, _saver_for)


def _saver_for(_node_id: str, node: Mapping[str, object], inputs: Mapping[str, object]) -> object:
    """The node that saves in place of one that would, or the node itself."""
    name = inputs.get("save_as")
    if node["class_type"] != EMBEDS or inputs.get("file") != ENCODE:
        return node
    if not name or (isinstance(name, str) and not name.strip()):
        return node
    kept = {name: inputs[name] for name in SAVED_INPUTS if name in inputs}
    return {**node, "class_type": SAVER, "inputs": kept}
