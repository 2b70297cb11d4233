"""What a run tells the browser while it works: one message an event.

web/run_state.js keeps them and web/window_strip.js shows them.

The host's own messages know nodes and steps, but no windows, no finished part that could be played already,
and no warnings. These do.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import folder_paths
from comfy_execution.utils import get_executing_context

from ....attention.plain_text import plain

MESSAGE = "evertalk"
"""The type of the websocket's messages."""

PLAYABLE = {".mp4", ".webm"}
"""Suffixes of files that browsers play; a run may also be written as pictures or for editing programs."""

Kind = Literal["plan", "step", "window", "paused", "warning", "done", "failed"]


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A video that the host's /view serves and a browser plays, under the names of the query."""

    filename: str
    subfolder: str
    type: str = "output"

    @classmethod
    def of(cls, path: Path | None) -> "ShownFile | None":
        """The file, if it is a video that lies in the output folder."""
        root = Path(folder_paths.get_output_directory()).resolve()
        if path is None or path.suffix not in PLAYABLE or not path.resolve().is_relative_to(root):
            return None
        inside = path.resolve().relative_to(root)
        return cls(inside.name, "" if inside.parent == Path() else inside.parent.as_posix())


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened in a run; None where a field says nothing.

    Attributes:
        kind: `plan`: windows are planned, those before `window` are finished. `step`: a step is done.
            `window`: a window is finished and on the disk. `paused`: stopped by the user, what was finished
            is kept. `warning`: something else runs than what was asked for. `done`, `failed`: the end.
        windows: of the whole run.
        window: which one, 0 for the first.
        step: steps of this window that are done.
        steps: of each window.
        seconds_left: until the last window is done, as far as the steps so far tell.
        seed: of the run's noise, in `plan` and `step`.
        start_s: where in the video a finished window begins.
        text: a sentence.
        path: a playable part of the video, or all of it.
        chart: at the end, the figures of the windows that are finished, as SVG; empty where none are known.
    """

    kind: Kind
    windows: int | None = None
    window: int | None = None
    step: int | None = None
    steps: int | None = None
    seconds_left: float | None = None
    seed: int | None = None
    start_s: float | None = None
    text: str = ""
    path: ShownFile | None = None
    chart: str = ""


class NodeEvents:
    """Sends events of the node that is running when this is made, from any thread.

    They go to the client that queued the job, as the host's own progress does; outside of a job, nowhere.
    """

    def __init__(self) -> None:
        self._context = get_executing_context()
        self._workflow: str | None = None

    def send(self, event: RunEvent) -> None:
        """Hand an event to the server, which sends it as soon as it can."""
        if self._context is None:
            return
        # Not at the top: the server drags in its database and frontend; where a node executes, it is there.
        from server import PromptServer  # noqa: PLC0415

        server, prompt_id = PromptServer.instance, self._context.prompt_id
        if self._workflow is None:
            self._workflow = workflow_of(server.prompt_queue.get_current_queue_volatile()[0], prompt_id)
        sender = {"node": self._context.node_id, "prompt_id": prompt_id, "workflow": self._workflow}
        server.send_sync(
            MESSAGE, {**sender, **asdict(replace(event, text=plain(event.text)))}, server.client_id
        )


def workflow_of(running: list[Any], prompt_id: str) -> str | None:
    """The id of the workflow that a running job was queued from; None if no editor queued it."""
    extra: dict[str, Any] = next((item[3] for item in running if item[1] == prompt_id), {})
    metadata = extra.get("extra_pnginfo")
    workflow = metadata.get("workflow") if isinstance(metadata, dict) else None
    found = workflow.get("id") if isinstance(workflow, dict) else None
    return found if isinstance(found, str) else None


def send_event(event: RunEvent) -> None:
    """Send one event of the node that is running."""
    NodeEvents().send(event)
