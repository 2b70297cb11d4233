"""The server's GPU and its workers, which make every evaluation of one MODEL together.

The server is rank 0. Workers are started when a window is to be sampled, kept for the runs after it while
the MODEL stays the same, and ended with the server (their channel closes), when the host frees the MODEL's
memory, and whenever anything fails: torch's collectives have no way back into step.
"""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import comfy.model_management
import folder_paths
import torch
import torch.distributed as dist
from comfy.model_patcher import ModelPatcher

from ....attention.backend import first_line
from ....multitalk.common.errors import InputError, WorkerError
from ....wanvideo.ranks import Ranks
from ..report.progress import show_on_node
from .channel import TensorForm
from .group import Store, is_of_collective, join, new_store, port_of, timeout_s
from .machine import Machine
from .recipe import Recipe, with_changes
from .spare_workers import SPARES
from .worker_process import WorkerProcess, end_all, new_workers

LOG = logging.getLogger("evertalk")
START_S = 900.0
"""How long a worker may take until it holds the weights, perhaps from a share on the network."""

NOTICE_S = 4.0
"""How long after a collective failed the news of why may take."""

CAUSE_S = 2.0
"""How long the news of another's end, which may be why a worker's collective failed, may take."""

POLL_S = 0.05


def worker_error(why: str) -> WorkerError:
    """What to raise when a worker cannot go on: why, and what to do."""
    return WorkerError(
        f"gpus: {why}. Queue again; if it comes again, look into the system's log, or set gpus of EverTalk "
        "Parallel to 1"
    )


def no_answer(seen: str) -> str:
    """What to say where a collective failed and no worker by itself; `seen` is torch's word for it."""
    return f"a worker did not answer within {timeout_s():.0f} s ({seen})"


@dataclass(frozen=True, slots=True)
class TeamPlan:
    """Which team is wanted.

    Attributes:
        key: of the MODEL.
        recipe: of the MODEL, without its changes.
        size: ranks.
        machine: where.
    """

    key: str
    recipe: Recipe
    size: int
    machine: Machine


class Team:
    """The workers of a MODEL; they begin to load when it is made.

    Args:
        plan: which.
        model: the MODEL, whose changes the workers get.

    Raises:
        InputError: another node uses torch.distributed in this server.
    """

    def __init__(self, plan: TeamPlan, model: ModelPatcher) -> None:
        if dist.is_initialized():
            raise InputError(
                "gpus: another node uses torch.distributed in this ComfyUI, which can be in one group of "
                "processes only. Remove that node and restart ComfyUI, or set gpus to 1."
            )
        self.plan = plan
        self.user: object = None
        """The node that is sampling with it, as the host tells them apart."""
        self.is_busy = False
        """Whether the server is in an evaluation or waits for the workers: it then tells a failure itself."""
        self.vae: weakref.ref[Any] | None = None
        """The module tree of the VAE that the workers hold."""
        self.failure = ""
        """What the first worker that could not go on said; empty while all can."""
        self._news = threading.Condition()
        self._ending = threading.Lock()
        self._ended = False
        self._parts = 0
        self._ranks: Ranks | None = None
        self._file = Path(folder_paths.get_temp_directory()) / f"evertalk_parallel_{uuid4().hex}.safetensors"
        self._store: Store | None = None
        self.workers: list[WorkerProcess] = []
        self.is_busy = True  # a worker that fails at once must not end a team that is half made
        try:
            recipe = with_changes(plan.recipe, model, self._file)
            self._store = new_store(plan.size, timeout_s())
            self.workers += SPARES.taken(plan.machine, plan.size) or new_workers(plan.machine, plan.size)
            for rank, worker in enumerate(self.workers, 1):
                worker.changed = self._changed
                worker.send(self._start_of(rank, recipe))
        except BaseException:
            self.end()
            raise
        self.is_busy = False
        self._changed()  # one may have failed before it was in the list

    def _start_of(self, rank: int, recipe: Recipe) -> dict[str, Any]:
        assert self._store is not None
        return {
            "recipe": recipe.said(),
            "rank": rank,
            "size": self.plan.size,
            "port": port_of(self._store),
            "backend": self.plan.machine.backend,
            "timeout_s": timeout_s(),
        }

    def _changed(self) -> None:
        """On the thread of a worker that is ready, has failed or is gone."""
        with self._news:
            self._news.notify_all()
            if any(one.failure for one in self.workers):
                self._news.wait_for(lambda: bool(self.failure or self._ended or self._cause()), CAUSE_S)
            if not (self.failure or self._ended):
                followed = next((one.failure for one in self.workers if one.failure), "")
                self.failure = self._cause() or (followed and no_answer(followed))
            self._news.notify_all()
        if not self.failure or self._ended:
            return
        # The others wait for it in a collective: they leave, and what the server waits for gives up.
        for worker in self.workers:
            worker.leave()
        if self.is_busy:
            self._abort()
        else:
            self.end()

    def _cause(self) -> str:
        """What the first worker said that failed by itself."""
        return next((one.failure for one in self.workers if one.failure and not one.follows), "")

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked for more."""
        return not self._ended and not self.failure

    def joined(self) -> Ranks:
        """This process among the ranks; waits until all workers hold the weights.

        Raises:
            WorkerError: one of them does not come.
            InterruptProcessingException: the user stopped the run.
        """
        if self._ranks is None:
            show_on_node(f"gpus: waiting until all workers hold the weights ({len(self.workers)})")
            self._wait_for_workers()
            LOG.info("%s", loading_times(self.workers))
            for worker in self.workers:
                worker.send({"do": "join"})
            group = join(0, self.plan.size, self.plan.machine.backend, self._store, timeout_s())
            self._ranks = Ranks(0, self.plan.size, group)
            self._file.unlink(missing_ok=True)
        return self._ranks

    def _wait_for_workers(self) -> None:
        if not self._wait_until(lambda: all(worker.is_ready for worker in self.workers), START_S):
            raise worker_error(f"a worker did not hold the weights within {START_S:.0f} s")

    def finish_part(self) -> None:
        """Wait until every worker has done all that it was asked for: a window, a decode, an encode.

        NCCL gives up a collective whose other end hangs without a word to this process, and what the GPU
        then computes is nothing: only the others' word says that the result is whole.

        Raises:
            WorkerError: a worker cannot, or does not answer.
        """
        self._parts += 1
        self.send({"do": "finish"})
        limit = timeout_s()
        if not self._wait_until(lambda: all(one.parts_done >= self._parts for one in self.workers), limit):
            raise worker_error(f"a worker did not finish its part within {limit:.0f} s")

    def _wait_until(self, is_so: Callable[[], bool], limit_s: float) -> bool:
        """Whether something about the workers becomes so in time; a stop and a failure end the wait."""
        deadline = time.monotonic() + limit_s
        while not is_so():
            comfy.model_management.throw_exception_if_processing_interrupted()
            self.check()
            if time.monotonic() > deadline:
                return False
            with self._news:
                self._news.wait(POLL_S)
        return True

    def check(self) -> None:
        """Tell a failure.

        Raises:
            WorkerError: a worker cannot go on.
        """
        failure = self.failure
        if failure:
            raise worker_error(failure)

    @contextmanager
    def in_step(self, *, keeps_interrupted: bool = False) -> Generator[None]:
        """What fails inside ends the team, and is told in a worker's own words if it has any.

        Args:
            keeps_interrupted: the workers wait for no collective here, so that a stopped run leaves them.
        """
        self.check()
        self.is_busy = True
        try:
            yield
        except comfy.model_management.InterruptProcessingException:
            if not keeps_interrupted:
                self.end()
            raise
        except Exception as error:
            # The workers are somewhere in their part: only an end brings all ranks into step again.
            told = self.explained(error)
            self.end()
            if told is error:
                raise
            raise told from error
        finally:
            self.is_busy = False

    def send(self, message: dict[str, Any]) -> None:
        """Say something to all workers."""
        for worker in self.workers:
            worker.send(message)

    def give(self, message: dict[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        """Say something to all workers, with tensors on the team's devices."""
        forms = [TensorForm.of(name, one).said() for name, one in tensors.items()]
        self.send({**message, "tensors": forms})
        group = self.joined().group
        for one in tensors.values():
            dist.broadcast(one.contiguous(), group=group, group_src=0)

    def explained(self, error: Exception) -> Exception:
        """What to raise for an error in a collective: a worker's own words, if it has any."""
        if isinstance(error, WorkerError) or not is_of_collective(error):
            return error
        deadline = time.monotonic() + NOTICE_S
        while not self.failure and time.monotonic() < deadline:
            with self._news:
                self._news.wait(POLL_S)
        return worker_error(self.failure or no_answer(first_line(error)))

    def _abort(self) -> None:
        """Have collectives that wait for a worker that is gone give up; those of gloo do so by themselves."""
        ranks = self._ranks
        if self.plan.machine.backend == "nccl" and ranks is not None:
            abort: Any = getattr(ranks.group, "abort", None)
            if abort is not None:
                abort()

    def end(self) -> None:
        """Let all workers go, and see that they are gone."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
            if self.failure:
                self._abort()
            end_all(self.workers)
            self._file.unlink(missing_ok=True)
            if self._ranks is not None:
                dist.destroy_process_group()
            self._ranks = self._store = None


def loading_times(workers: list[WorkerProcess]) -> str:
    """How long the slowest of them loaded, and how long it had waited for the MODEL before, for the log."""
    slowest = max(workers, key=lambda worker: worker.loaded_s)
    return (
        f"gpus: the workers hold the weights, loaded in {slowest.loaded_s:.1f} s; Python and ComfyUI were "
        f"there {slowest.waited_s:.1f} s before the MODEL"
    )
