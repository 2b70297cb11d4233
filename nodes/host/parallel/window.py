"""The server's part in a window that several GPUs sample: the workers are told of each evaluation first."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from ....multitalk.windows.loop import WindowVoices
from ....wanvideo.ranks import Ranks
from ....wanvideo.step_cache import StepCache
from ..model.patcher import TalkCall
from .team import Team


class SharedWindow:
    """A window's evaluations, on all ranks.

    Args:
        team: the ranks.
        attention: name of the attention backend that runs.
        tokens: of the window.
        needed: bytes that an evaluation takes beside the weights.
    """

    def __init__(self, team: Team, attention: str, tokens: int, needed: int) -> None:
        self.team = team
        self._begin = {"do": "window", "needed": needed, "attention": attention, "tokens": tokens}
        self._begun = False
        self._sent: dict[int, WindowVoices] = {}
        """The branches whose audio the workers have; kept here, so that no other gets the same id."""

    def ranks(self) -> Ranks:
        """This process among the ranks; waits until all workers hold the weights.

        Raises:
            WorkerError: one of them does not come.
        """
        with self.team.in_step(keeps_interrupted=True):
            return self.team.joined()

    def evaluate(
        self,
        given: dict[str, torch.Tensor | None],
        call: TalkCall,
        branch: int,
        run: Callable[[], torch.Tensor],
    ) -> torch.Tensor:
        """One evaluation: the workers get the same inputs, then all ranks run.

        Args:
            given: what the host gave its transformer.
            call: what varies from call to call.
            branch: which of the call's branches it is.
            run: this rank's part, which gives the whole result.

        Raises:
            WorkerError: a worker failed, hung or is gone.
        """
        with self.team.in_step():
            self._tell(given, call, call.branches[branch])
            return run()

    def _tell(self, given: dict[str, torch.Tensor | None], call: TalkCall, heard: WindowVoices) -> None:
        if not self._begun:
            self.team.send({**self._begin, "step_cache": _said(call.step_cache)})
            self._begun = True
        tensors = {name: one for name, one in given.items() if one is not None}
        if id(heard) not in self._sent:
            self._sent[id(heard)] = heard
            tensors["audio"] = heard.audio_SFKLC
            if heard.token_masks_MP is not None:
                tensors["masks"] = heard.token_masks_MP
        step = 0 if call.step_cache is None else call.step_cache.step
        self.team.give({"do": "evaluate", "branch": str(id(heard)), "step": step}, tensors)

    def finish(self) -> None:
        """The window is sampled: see that all ranks made it to its end.

        Raises:
            WorkerError: one did not, so that the window is not one.
        """
        with self.team.in_step():
            self.team.finish_part()


def _said(cache: StepCache | None) -> dict[str, Any] | None:
    return None if cache is None else {"settings": asdict(cache.settings), "steps": cache.steps}
