"""The endings of a run over several GPUs that `parallel_endings.py` brings about."""

import signal
from collections.abc import Callable
from dataclasses import dataclass

from comfy_server import ComfyServer
from left_behind import Seen


class EndingError(Exception):
    """An ending could not be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is done in the middle of a run, and what has to come of it.

    Attributes:
        name: in the rows.
        act: does it.
        words: what the run has to say at its end, as a pattern.
        is_early: it is done while the workers load, not in the middle of a window.
        waits: a collective has to time out before the run can end.
        kills_server: nothing of the server may be left.
        keeps_workers: they may stay for the next run.
        frees: Free Memory follows, and everything has to go.
    """

    name: str
    act: Callable[[ComfyServer, Seen], None]
    words: str
    is_early: bool = False
    waits: bool = False
    kills_server: bool = False
    keeps_workers: bool = False
    frees: bool = False


def stop(server: ComfyServer, _seen: Seen) -> None:
    """As the button does."""
    server.client.interrupt()


def to_last_worker(how: signal.Signals) -> Callable[[ComfyServer, Seen], None]:
    """Send a signal to the last of the workers: with more than one the others have to go too."""

    def act(_server: ComfyServer, seen: Seen) -> None:
        if not seen.workers:
            raise EndingError("there is no worker while a window is sampled")
        seen.workers[-1].send_signal(how)

    return act


def kill_server(server: ComfyServer, _seen: Seen) -> None:
    """As the system does when memory is short."""
    server.kill()


KEPT = r"[\s\S]*The windows that were finished are kept"
STOPPED = r"was interrupted"
BROKEN = (
    Ending("stop_early", stop, STOPPED, is_early=True, keeps_workers=True, frees=True),
    Ending("stop", stop, STOPPED, keeps_workers=True),
    Ending(
        "worker_killed",
        to_last_worker(signal.SIGKILL),
        rf"the worker on (GPU|process) \d+ was ended by signal 9{KEPT}",
    ),
    Ending("server_killed", kill_server, "", kills_server=True),
    Ending(
        "worker_hangs",
        to_last_worker(signal.SIGSTOP),
        rf"a worker did not (answer|finish its part) within \d+ s{KEPT}",
        waits=True,
        frees=True,
    ),
)
WELL, ENDED = "well", "server_ended"
NAMES = (WELL, *(one.name for one in BROKEN), ENDED)
