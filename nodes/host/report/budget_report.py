"""What sparse attention did in a run, for people and for programs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """What sparse attention did in a run, as history has it.

    Attributes:
        percent: the budget.
        kernel: what computed it.
        sparse_heads: share of self-attention's heads that run sparse, 0..1.
        mean_error: of the sampled heads that are sparse, 0.01 for 1 %; 0 if none was sampled.
        worst_error: the largest of them.
        saved_s: seconds that self-attention took less than if it were exact, the trials counted in; None
            where no exact one was timed, as in a run that went on after a stop.
    """

    percent: float
    kernel: str
    sparse_heads: float
    mean_error: float
    worst_error: float
    saved_s: float | None

    def __str__(self) -> str:
        asked = f"attention_budget {self.percent:g} %"
        if not self.sparse_heads:
            return (
                f"{asked}: self-attention stays exact, since no head is within the budget when it is sparse"
            )
        said = f"{asked}: {self.sparse_heads:.0%} of self-attention's heads run sparse ({self.kernel})"
        if self.worst_error:
            said += f"; error seen {self.mean_error:.2%} on average, {self.worst_error:.2%} at most"
        if self.saved_s is None:
            return said
        return f"{said}; {abs(self.saved_s):.1f} s {'saved' if self.saved_s >= 0 else 'lost'} so far"
