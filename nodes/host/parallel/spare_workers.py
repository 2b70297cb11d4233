"""Workers that are started while the server still loads the MODEL: Python and ComfyUI take them seconds.

They belong to the prompt that runs: if no run of its takes them, the next prompt's may, or they are gone a
moment after it has ended.
"""

import logging
import threading
from dataclasses import dataclass

from comfy_execution.utils import get_executing_context

from .machine import Machine
from .worker_process import WorkerProcess, end_all, new_workers

LOG = logging.getLogger("evertalk")
FOLLOW_S = 0.5
"""How often it is looked whether the prompt still runs."""


@dataclass(frozen=True, slots=True)
class Spares:
    """Workers that no team has taken.

    Attributes:
        prompt_id: of the prompt that they were started for.
        machine: what they were started on.
        size: of the team that they are for.
        workers: all of that team's.
    """

    prompt_id: str
    machine: Machine
    size: int
    workers: list[WorkerProcess]

    def are_for(self, machine: Machine, size: int) -> bool:
        """Whether such a team can have them: none has failed."""
        return (self.machine, self.size) == (machine, size) and not any(one.failure for one in self.workers)


class SpareWorkers:
    """The server's spare workers: for one team at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spares: Spares | None = None

    def begin(self, machine: Machine, size: int) -> None:
        """Start workers for a team of `size`, which the running prompt is going to need; else there are none.

        Where the system starts none, none are there: a team starts its own, and tells what is wrong.
        """
        context = get_executing_context()
        if context is None or size < 2:
            return
        # Those of a prompt that has just failed may still be there.
        early = self.taken(machine, size)
        try:
            workers = early or new_workers(machine, size)
        except OSError as error:
            LOG.warning("gpus: no workers could be started while the model loads: %s", error)
            return
        self._spares = spares = Spares(context.prompt_id, machine, size, workers)
        if not early:
            LOG.info("gpus: workers start while the model loads (%d)", len(workers))
        threading.Thread(target=self._follow, args=(spares,), name="evertalk spares", daemon=True).start()

    def taken(self, machine: Machine, size: int) -> list[WorkerProcess]:
        """The workers for such a team, whose they are from now on; an empty list where there are none.

        Those for another team are let go.
        """
        with self._lock:
            spares, self._spares = self._spares, None
        if spares is None:
            return []
        if spares.are_for(machine, size):
            return spares.workers
        end_all(spares.workers)
        return []

    def _follow(self, spares: Spares) -> None:
        """Let them go once the prompt has ended without them."""
        pause = threading.Event()
        while is_running(spares.prompt_id):
            pause.wait(FOLLOW_S)
            if self._spares is not spares:
                return
        with self._lock:
            if self._spares is not spares:
                return
            self._spares = None
        end_all(spares.workers)


def is_running(prompt_id: str) -> bool:
    """Whether the server is at a prompt."""
    # Not at the top: the server drags in its database and frontend; where a node executes, it is there.
    from server import PromptServer  # noqa: PLC0415

    running, _ = PromptServer.instance.prompt_queue.get_current_queue_volatile()
    return any(item[1] == prompt_id for item in running)


SPARES = SpareWorkers()
