"""Whether a window's first step gave numbers, found out without waiting for the GPU."""

from typing import Any

import torch

from ..model.backend import FIRST_STEP, NotFiniteError


class FiniteCheck:
    """Looks at the first prediction it is shown; tells at a later one, or at the end, if that was no good.

    To read a number from the GPU at once would wait for all that it has to do, and leave it without work
    until the next step is under way.
    """

    def __init__(self) -> None:
        self._seen = False
        self._answer: torch.Tensor | None = None
        self._is_there: Any = None

    def look(self, denoised_BCTHW: torch.Tensor) -> None:
        """Take the first prediction; of later ones only the moment counts.

        Raises:
            NotFiniteError: the first one has NaN or infinite values.
        """
        if not self._seen:
            self._seen = True
            self._begin(torch.isfinite(denoised_BCTHW).all())
        elif self._is_there is None or self._is_there.query():
            self.settle()

    def settle(self) -> None:
        """Wait for the answer.

        Raises:
            NotFiniteError: the first prediction has NaN or infinite values.
        """
        answer, is_there, self._answer, self._is_there = self._answer, self._is_there, None, None
        if answer is None:
            return
        if is_there is not None:
            is_there.synchronize()
        if not answer:
            raise NotFiniteError(FIRST_STEP)

    def _begin(self, is_finite: torch.Tensor) -> None:
        self._answer = is_finite
        if is_finite.device.type != "cuda":
            self.settle()
            return
        self._answer = torch.empty(is_finite.shape, dtype=is_finite.dtype, pin_memory=True)
        self._answer.copy_(is_finite, non_blocking=True)
        self._is_there = torch.cuda.current_stream(is_finite.device).record_event()


def brought_to(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Values in another tensor's type, on its device; to a GPU without waiting for what it has to do."""
    if like.device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory().to(like.device, non_blocking=True)
    return values.to(like)
