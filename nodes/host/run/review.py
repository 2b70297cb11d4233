"""Looking at a run between its windows: it pauses, and goes on when the workflow is queued again.

The host would answer the same workflow from its cache, the unfinished video included, and also when the
video has been moved away. So each pause of a node and each file of it that is gone is counted, and the count
is part of what the host compares.
"""

from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from comfy_execution.utils import get_executing_context

from ....multitalk.runs.pausing import Pausing
from ..report.routes import refusal

ROUTE = "/evertalk/pause"
CONFLICT = 409

NOTHING_RUNS = "No EverTalk run is sampling now, so there is nothing to pause. Queue a workflow first."
ANOTHER_RUNS = "Another run is sampling now, so there is nothing to pause. It is left as it is."


@dataclass(frozen=True, slots=True)
class RunInReview:
    """The run that is sampling now.

    Attributes:
        prompt_id: the queued job.
        node_id: the sampler in it.
        run_folder: where its windows are kept.
        windows: of the whole run.
        pausing: stops it.
    """

    prompt_id: str
    node_id: str
    run_folder: str
    windows: int
    pausing: Pausing

    def pause(self) -> dict[str, Any]:
        """Stop after the window that is being made; what will happen, as JSON."""
        self.pausing.ask()
        window = self.pausing.window
        last = window + 1 == self.windows
        text = (
            f"Window {self.windows} of {self.windows} is the last: the run finishes with it"
            if last
            else f"The run pauses after window {window + 1} of {self.windows}"
        )
        return {
            "prompt_id": self.prompt_id,
            "node": self.node_id,
            "run_folder": self.run_folder,
            "window": window,
            "windows": self.windows,
            "text": text,
        }


class Reviews:
    """The run that can be paused, how often each sampler node has paused, and what its results name."""

    def __init__(self) -> None:
        self._changes: Counter[str] = Counter()
        self._results: defaultdict[str, set[Path]] = defaultdict(set)
        self._running: RunInReview | None = None

    @contextmanager
    def running(self, run_folder: str, windows: int, pausing: Pausing) -> Generator[None, None, None]:
        """While the block runs, the run can be paused from the browser."""
        context = get_executing_context()
        prompt_id, node_id = ("", "") if context is None else (context.prompt_id, context.node_id)
        self._running = RunInReview(prompt_id, node_id, run_folder, windows, pausing)
        try:
            yield
        finally:
            self._running = None

    def note_pause(self) -> None:
        """The node that runs has paused: the same inputs give something else next time."""
        context = get_executing_context()
        if context is not None:
            self._changes[context.node_id] += 1

    def note_result(self, path: Path) -> None:
        """The node that runs has made this file or folder."""
        context = get_executing_context()
        if context is not None:
            self._results[context.node_id].add(path)

    def fingerprint(self) -> int:
        """For a node's fingerprint_inputs: changes when the node has paused, or a file of it has gone."""
        context = get_executing_context()
        if context is None:
            return 0
        gone = {path for path in self._results[context.node_id] if not path.exists()}
        self._results[context.node_id] -= gone
        self._changes[context.node_id] += len(gone)
        return self._changes[context.node_id]

    async def answer(self, request: web.Request) -> web.Response:
        """Pause the run; 409 with a sentence when none is sampling, or not the one asked for."""
        asked = request.query.get("prompt_id")
        running = self._running
        if running is None:
            return refusal(NOTHING_RUNS, CONFLICT)
        if asked is not None and asked != running.prompt_id:
            return refusal(ANOTHER_RUNS, CONFLICT)
        return web.json_response(running.pause())


REVIEWS = Reviews()
"""Of this server: it runs one node at a time."""
