"""Shows on a terminal, or in a log, how far a job has come."""

import re
from typing import TextIO

from comfy_client import Event, JsonObject, NodeEvent, PackEvent, StepEvent, TextEvent

WINDOWS = re.compile(r"\bwindow \d+ of (\d+)", re.IGNORECASE)
ERASE_LINE = "\r\x1b[K"


class ProgressDisplay:
    """Shows the events of one job: one line that is rewritten on a terminal, a line each elsewhere.

    Attributes:
        num_windows: how many windows the sampler spoke of, None if it has said nothing.
        texts: what nodes said.
    """

    def __init__(self, workflow: JsonObject, stream: TextIO) -> None:
        self.num_windows: int | None = None
        self.texts: list[str] = []
        self._workflow = workflow
        self._stream = stream
        self._rewrites = stream.isatty()
        self._last_text = ""
        self._talking_nodes: set[str] = set()
        self._started_nodes: set[str] = set()

    def show(self, event: Event) -> None:
        """Show an event if it says anything new."""
        match event:
            case NodeEvent(node_id):
                if node_id not in self._started_nodes:
                    self._started_nodes.add(node_id)
                    self._write(self._title(node_id))
            case TextEvent(node_id, text):
                self._talking_nodes.add(node_id)
                self.texts.append(text)
                found = WINDOWS.search(text)
                if found:
                    self.num_windows = int(found[1])
                self._write(text)
            case StepEvent(node_id, value, maximum):
                # Bare numbers are shown only where a person watches and the node itself says nothing.
                if self._rewrites and node_id not in self._talking_nodes and maximum > 1:
                    self._write(f"{self._title(node_id)} {value:.0f}/{maximum:.0f}")
            case PackEvent():
                pass  # what it tells is said in texts too

    def close(self) -> None:
        """Leave the line that is being rewritten."""
        if self._rewrites and self._last_text:
            self._stream.write("\n")
            self._stream.flush()

    def _title(self, node_id: str) -> str:
        node = self._workflow.get(node_id, {})
        return node.get("_meta", {}).get("title") or node.get("class_type") or f"node {node_id}"

    def _write(self, text: str) -> None:
        line = " ".join(text.split())
        if not line or line == self._last_text:
            return
        self._last_text = line
        self._stream.write(f"{ERASE_LINE}  {line}" if self._rewrites else f"  {line}\n")
        self._stream.flush()
