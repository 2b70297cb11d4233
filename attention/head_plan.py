"""Which heads of an attention may be sparse, and how sparse, within a budget of error.

The error of a head is |sparse - exact| / |exact| over a sample of its query rows. A head is tried with the
highest threshold first, the fastest, and with lower ones while its error is above the budget and not
hopeless; one that passes none stays exact. Since each head keeps to the budget, so does the attention as a
whole.

Shape letters: B batch, L tokens, H heads, D head dimension, R sampled rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch

from .protocol import Attention

TAUS = (0.8, 1.3, 2.0)
"""Thresholds of sparse attention (block_sparse.py). On an H200 a call of 32,760 tokens and 40 heads takes 19
and 12 ms with the first two, where exact ones take 29 to 37; 0.3 takes 29 and is of no use."""

HOPELESS = 4.0
"""A head whose error is above so many budgets is not tried with a lower threshold. Heads that look anywhere
err by half or more with any threshold."""

SMALLEST_GROUP = 1 / 12
"""Of the heads: fewer that pass a threshold stay exact, since a call for them alone costs more."""

SAMPLE_ROWS = 1024

Sparse = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
"""(q_BLHD, k_BLHD, v_BLHD, tau) -> (B, L, H, D): a sparse kernel."""


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """How the heads of one attention are computed.

    Attributes:
        levels: for each head 0 for exactly, or which of `TAUS`, from 1.
    """

    levels: tuple[int, ...]

    @property
    def share(self) -> float:
        """Share of the heads that are sparse."""
        return sum(level > 0 for level in self.levels) / len(self.levels)

    def heads(self, level: int) -> list[int]:
        """The heads of a level."""
        return [head for head, own in enumerate(self.levels) if own == level]

    def without(self, heads: list[int]) -> "HeadPlan":
        """The same with these heads exact."""
        return HeadPlan(tuple(0 if head in heads else level for head, level in enumerate(self.levels)))


def sample_errors(out_BLHD: torch.Tensor, exact_BLHD: torch.Tensor) -> list[float]:
    """The error of each head on a sample of query rows; waits for the GPU."""
    tokens = out_BLHD.shape[1]
    step = max(1, tokens // SAMPLE_ROWS) | 1  # odd: so that all places within blocks of 64 have their turn
    out_BRHD, exact_BRHD = out_BLHD[:, ::step].float(), exact_BLHD[:, ::step].float()
    difference_H = torch.linalg.vector_norm(out_BRHD - exact_BRHD, dim=(0, 1, 3))
    return (difference_H / torch.linalg.vector_norm(exact_BRHD, dim=(0, 1, 3))).tolist()


def of_heads(x_BLHD: torch.Tensor, heads: list[int]) -> torch.Tensor:
    """These heads of a tensor; the tensor itself where they are all."""
    if len(heads) == x_BLHD.shape[2]:
        return x_BLHD
    return x_BLHD.index_select(2, _index(tuple(heads), x_BLHD.device))


@lru_cache(maxsize=4096)
def _index(heads: tuple[int, ...], device: torch.device) -> torch.Tensor:
    # Kept: a plan's are the same in every window, and each would be a copy to the GPU.
    return torch.tensor(heads, device=device)


@dataclass(frozen=True, slots=True)
class Trial:
    """What trying the heads of one attention gave.

    Attributes:
        plan: how its heads are computed from now on.
        errors: of the heads that are sparse.
    """

    plan: HeadPlan
    errors: tuple[float, ...]


def try_heads(
    qkv_BLHD: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    exact_BLHD: torch.Tensor,
    sparse: Sparse,
    budget: float,
) -> Trial:
    """Find for each head the highest threshold whose error stays within `budget` (0.02 for 2 %)."""
    levels, errors = [0] * exact_BLHD.shape[2], dict[int, float]()
    heads = list(range(len(levels)))
    for level in range(len(TAUS), 0, -1):
        q_BLHD, k_BLHD, v_BLHD = (of_heads(x_BLHD, heads) for x_BLHD in qkv_BLHD)
        out_BLHD = sparse(q_BLHD, k_BLHD, v_BLHD, TAUS[level - 1])
        found = dict(zip(heads, sample_errors(out_BLHD, of_heads(exact_BLHD, heads)), strict=True))
        # An error that is not a number is within no budget, and nothing to go on from.
        passed = {head: error for head, error in found.items() if error <= budget}
        if len(passed) >= SMALLEST_GROUP * len(levels):
            errors |= passed
            for head in passed:
                levels[head] = level
        heads = [head for head, error in found.items() if budget < error <= HOPELESS * budget]
        if not heads:
            break
    return Trial(HeadPlan(tuple(levels)), tuple(errors.values()))


def attend(
    q_BLHD: torch.Tensor,
    k_BLHD: torch.Tensor,
    v_BLHD: torch.Tensor,
    plan: HeadPlan,
    exact: Attention,
    sparse: Sparse,
) -> torch.Tensor:
    """Attention as the plan has it, (B, L, H, D)."""
    out_BLHD = torch.empty_like(q_BLHD, memory_format=torch.contiguous_format)
    for level in sorted(set(plan.levels)):
        heads = plan.heads(level)
        q, k, v = (of_heads(x_BLHD, heads) for x_BLHD in (q_BLHD, k_BLHD, v_BLHD))
        part = exact(q, k, v) if level == 0 else sparse(q, k, v, TAUS[level - 1])
        if len(heads) == len(plan.levels):
            return part.contiguous()
        out_BLHD.index_copy_(2, _index(tuple(heads), out_BLHD.device), part.to(out_BLHD.dtype))
    return out_BLHD
