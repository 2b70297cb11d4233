"""Self-attention within a budget of error: what is sparse is found out on the run's own queries and keys.

In the first window every self-attention is computed exactly, and its heads are tried sparsely beside that
(head_plan.py). The windows after it run as that found, and each attention is sampled again in every
`SAMPLE_EVERY`th window: a head that then exceeds the budget is exact from there on. What was found is kept
with a window only when the window is finished, so that one that is begun again gives the same again.

Inside of compiled blocks this is one opaque operator. It learns from a context variable whose call it is, and
counts the attentions of an evaluation to know the block.
Shape letters: B batch, L tokens, H heads, D head dimension.
"""

import statistics
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch

from .backend import as_operator
from .errors import AttentionStateError
from .head_plan import TAUS, HeadPlan, attend, of_heads, sample_errors, try_heads
from .protocol import Attention
from .sparse import SparseKernel
from .timer import Timer

SAMPLE_EVERY = 24
"""Each attention is sampled again in one of so many windows, about once a minute of video; in which, differs
from attention to attention, so that some are in every window. A sample costs about an exact attention."""


PLACE_BYTES = 4
"""Of a `Place` in a state."""


class Place(NamedTuple):
    """Which self-attention of a window it is.

    Attributes:
        branch: of guidance.
        evaluation: of the branch, from the window's beginning.
        block: of the transformer, counted in the order in which blocks run.
    """

    branch: int
    evaluation: int
    block: int


@dataclass(slots=True)
class SeenErrors:
    """Errors of all heads that were sampled and stayed sparse.

    Attributes:
        count: how many.
        total: their sum.
        worst: the largest.
    """

    count: int = 0
    total: float = 0.0
    worst: float = 0.0

    def add(self, errors: list[float]) -> None:
        """Count these in."""
        self.count += len(errors)
        self.total += sum(errors)
        self.worst = max((self.worst, *errors))

    @property
    def mean(self) -> float:
        """Their mean; 0 if there are none."""
        return self.total / self.count if self.count else 0.0


class AttentionBudget:
    """One run's sparse attention.

    Args:
        budget: the largest error of a head, 0.02 for 2 %.
        kernel: the sparse kernel.
        device: of the run.
    """

    def __init__(self, budget: float, kernel: SparseKernel, device: torch.device) -> None:
        self.budget, self.kernel, self.device = budget, kernel, device
        self.plans: dict[Place, HeadPlan] = {}
        """What finished windows found."""
        self.errors = SeenErrors()
        self.window = 0
        self._found: dict[Place, HeadPlan] = {}
        self._found_errors: list[float] = []
        self._evaluations: dict[int, int] = {}
        self._all, self._exact = Timer(device), Timer(device)

    def begin(self, window: int) -> None:
        """A window begins, or begins again: what it found before is forgotten."""
        self.window = window
        self._found, self._found_errors, self._evaluations = {}, [], {}

    def finish(self) -> None:
        """The window is finished: what it found holds from now on."""
        self.plans |= self._found
        self.errors.add(self._found_errors)
        self._found, self._found_errors = {}, []
        self._all.read()
        self._exact.read()

    @contextmanager
    def evaluating(self, branch: int, exact: Attention) -> Generator[None]:
        """While it lasts, self-attention in this thread is of the branch's next evaluation.

        Args:
            branch: of guidance.
            exact: the attention backend.
        """
        number = self._evaluations.get(branch, 0)
        self._evaluations[branch] = number + 1
        token = _CALL.set(_Call(self, exact, branch, number))
        try:
            yield
        finally:
            _CALL.reset(token)

    def attend(
        self,
        place: Place,
        qkv_BLHD: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        exact: Attention,
    ) -> torch.Tensor:
        """One self-attention, (B, L, H, D)."""
        with self._all.timed():
            plan = self.plans.get(place)
            if plan is None:
                return self._try(place, qkv_BLHD, exact)
            if plan.share and (sum(place) + self.window) % SAMPLE_EVERY == 0:
                return self._sample(place, plan, qkv_BLHD, exact)
            return attend(*qkv_BLHD, plan, exact, self.kernel.attend)

    def _try(
        self, place: Place, qkv_BLHD: tuple[torch.Tensor, torch.Tensor, torch.Tensor], exact: Attention
    ) -> torch.Tensor:
        with self._exact.timed():
            exact_BLHD = exact(*qkv_BLHD)
        trial = try_heads(qkv_BLHD, exact_BLHD, self.kernel.attend, self.budget)
        self._found[place] = trial.plan
        self._found_errors += trial.errors
        return exact_BLHD

    def _sample(
        self,
        place: Place,
        plan: HeadPlan,
        qkv_BLHD: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        exact: Attention,
    ) -> torch.Tensor:
        out_BLHD = attend(*qkv_BLHD, plan, exact, self.kernel.attend)
        heads = [head for head, level in enumerate(plan.levels) if level]
        exact_BLHD = exact(*(of_heads(x_BLHD, heads) for x_BLHD in qkv_BLHD))
        errors = dict(zip(heads, sample_errors(of_heads(out_BLHD, heads), exact_BLHD), strict=True))
        over = [head for head, error in errors.items() if not error <= self.budget]
        self._found_errors += [error for head, error in errors.items() if head not in over]
        if not over:
            return out_BLHD
        self._found[place] = plan.without(over)
        for head in over:
            out_BLHD[:, :, head] = exact_BLHD[:, :, heads.index(head)]
        return out_BLHD

    @property
    def share(self) -> float:
        """Share of the heads that are sparse, over all attentions of a window."""
        plans = self.plans.values()
        return sum(plan.share for plan in plans) / len(plans) if plans else 0.0

    def saved_s(self) -> float | None:
        """Seconds that self-attention took less than if all had been exact, the trials counted in.

        None where this process has tried none, so that nobody knows how long an exact one takes. Waits for
        the GPU.
        """
        if not self._exact.durations_s:
            return None
        # The median: first calls make plans or compile.
        return statistics.median(self._exact.durations_s) * self._all.count - self._all.total_s

    def state(self) -> torch.Tensor:
        """What was found, (attentions, 4 + heads) bytes: branch, evaluation (two bytes), block, levels."""
        rows = [
            [branch, evaluation // 256, evaluation % 256, block, *plan.levels]
            for (branch, evaluation, block), plan in sorted(self.plans.items())
        ]
        return torch.tensor(rows, dtype=torch.uint8)

    def restore(self, state: torch.Tensor, heads: int) -> None:
        """Go on as `state` has it, which an earlier run's `state` gave, with so many heads.

        Raises:
            AttentionStateError: it is not such a state.
        """
        levels = state[:, PLACE_BYTES:]
        if levels.shape[1] != heads or bool((levels > len(TAUS)).any()):
            raise AttentionStateError(
                f"the run's folder: what was kept of sparse attention is of {levels.shape[1]} heads and "
                f"other levels; expected {heads} heads and levels up to {len(TAUS)}. Choose resume restart."
            )
        self.plans = {
            Place(branch, 256 * high + low, block): HeadPlan(tuple(levels))
            for branch, high, low, block, *levels in state.tolist()
        }


@dataclass(slots=True)
class _Call:
    """One evaluation of the transformer."""

    budget: AttentionBudget
    exact: Attention
    branch: int
    evaluation: int
    blocks: int = 0


_CALL: ContextVar[_Call] = ContextVar("evertalk_budgeted_call")


def _run(q_BLHD: torch.Tensor, k_BLHD: torch.Tensor, v_BLHD: torch.Tensor) -> torch.Tensor:
    call = _CALL.get()
    place = Place(call.branch, call.evaluation, call.blocks)
    call.blocks += 1
    out_BLHD = call.budget.attend(place, (q_BLHD, k_BLHD, v_BLHD), call.exact)
    # An operator may not give its own input back, nor other strides than it says.
    return out_BLHD.contiguous()


_OPERATOR = as_operator("attention_within_budget", _run)


@cache
def within_budget(exact: Attention) -> Attention:
    """Self-attention through the budget of the call that runs, all others by `exact`.

    The same object for the same `exact`, so that a compiled block stays compiled in the next run.
    """

    def attention(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        run = _OPERATOR if q_BQHD.shape[1] == k_BKHD.shape[1] else exact
        return run(q_BQHD, k_BKHD, v_BKHD)

    return attention
