"""TeaCache: leaves out the blocks of a step whose timestep changes little, and repeats what they added last.

How much the blocks' answer will change is guessed from the timestep's modulation: its relative change since
the evaluation before, through a polynomial that was fitted to the model, summed up until it passes the
threshold. Every branch of guidance (with audio, without, ...) has an account of its own, found by its name,
so that steps of one, two or three evaluations, and branches that pause, are all counted right.

Shape letters: B batch, L tokens, C channels, N modulation rows. Source: Liu and others, "Timestep Embedding
Tells: It's Time to Cache for Video Diffusion Model" (2024); the coefficients are those that the authors of
the audio weights publish for Wan 2.1 I2V.
"""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal

import torch

from .ranks import Ranks

FittedSize = Literal["480p", "720p"]

COEFFICIENTS: dict[FittedSize, tuple[float, ...]] = {
    "480p": (2.57151496e05, -3.54229917e04, 1.40286849e03, -1.35890334e01, 1.32517977e-01),
    "720p": (8.10705460e03, 2.13393892e03, -3.72934672e02, 1.66203073e01, -4.17769401e-02),
}
"""The polynomial of each base model, from the highest power down."""

FIRST_STEPS = 5
"""Steps that are always computed, as published."""


@dataclass(frozen=True, slots=True)
class StepCacheSettings:
    """When steps are left out.

    Attributes:
        threshold: how much guessed change may add up before the blocks are computed again; 0 never leaves
            out.
        coefficients: of the polynomial, from the highest power down.
        first_steps: steps from the beginning that are always computed.
        last_steps: steps at the end that are always computed.
    """

    threshold: float
    coefficients: tuple[float, ...]
    first_steps: int = FIRST_STEPS
    last_steps: int = 0

    def always_computes(self, step: int, steps: int) -> bool:
        """Whether step `step` (from 0) of `steps` is one of those at either end."""
        return step < self.first_steps or step >= steps - self.last_steps


@dataclass(frozen=True, slots=True)
class Drift:
    """What a branch carries from one evaluation to the next.

    Attributes:
        accumulated: guessed change since the blocks were last computed.
        modulation: of the evaluation before; None before the first.
    """

    accumulated: float = 0.0
    modulation: torch.Tensor | None = None


def decide(
    drift: Drift, modulation: torch.Tensor, settings: StepCacheSettings, *, always: bool
) -> tuple[bool, Drift]:
    """Whether the blocks must be computed, and the branch's drift after this evaluation.

    Args:
        drift: of the branch.
        modulation: the timestep's modulation in this evaluation, of any shape.
        settings: threshold and polynomial.
        always: this step is computed whatever its drift.
    """
    if always or drift.modulation is None:
        return True, Drift(0.0, modulation)
    accumulated = drift.accumulated + guessed_change(drift.modulation, modulation, settings.coefficients)
    is_needed = not accumulated < settings.threshold
    return is_needed, Drift(0.0 if is_needed else accumulated, modulation)


def guessed_change(before: torch.Tensor, now: torch.Tensor, coefficients: tuple[float, ...]) -> float:
    """The polynomial of the modulation's relative change; waits for the GPU, a number a step."""
    # In float32: the means of bf16 values would be rounded to steps as large as the change itself.
    before, now = before.float(), now.float()
    change = float((now - before).abs().mean() / before.abs().mean())
    value = 0.0
    for coefficient in coefficients:
        value = value * change + coefficient
    return value if math.isfinite(value) else math.inf


@dataclass(slots=True)
class _Branch:
    drift: Drift = field(default_factory=Drift)
    added_BLC: torch.Tensor | None = None


class StepCache:
    """The state of one window: each branch's drift, and what the blocks added to its tokens last."""

    def __init__(self, settings: StepCacheSettings, steps: int) -> None:
        self.settings = settings
        self.steps = steps
        self.step = 0
        """The step, from 0, that the next evaluations belong to; the sampling loop moves it on."""
        self.computed = 0
        self.left_out = 0
        self._branches: dict[Hashable, _Branch] = {}

    def run(
        self,
        name: Hashable,
        modulation_BNC: torch.Tensor,
        run: Callable[[torch.Tensor], torch.Tensor],
        x_BLC: torch.Tensor,
        ranks: Ranks | None = None,
    ) -> torch.Tensor:
        """The tokens after all blocks: through `run`, or by what it added when the branch last needed it.

        Args:
            name: of the branch, the same in every step.
            modulation_BNC: of the timestep.
            run: all blocks.
            x_BLC: the tokens before the first block, or this rank's share of them.
            ranks: the processes that make this evaluation together; the first decides for all, since GPUs of
                two kinds may differ in the last digits of a change.
        """
        branch = self._branches.setdefault(name, _Branch())
        always = self.settings.always_computes(self.step, self.steps)
        is_needed, branch.drift = decide(branch.drift, modulation_BNC, self.settings, always=always)
        if ranks is not None:
            is_needed = ranks.agreed(is_needed, x_BLC.device)
        if branch.added_BLC is not None and not is_needed:
            self.left_out += 1
            return x_BLC + branch.added_BLC
        self.computed += 1
        after_BLC = run(x_BLC)
        branch.added_BLC = after_BLC - x_BLC
        return after_BLC


def step_cache_notes(settings: StepCacheSettings | None, steps: int) -> tuple[str, ...]:
    """What a run of so many steps has to tell of its step cache before it begins."""
    if settings is None:
        return ()
    if all(settings.always_computes(step, steps) for step in range(steps)):
        return (
            f"step cache: it does nothing in {steps} steps, since the first {settings.first_steps} and the "
            f"last {settings.last_steps} are always computed. Take more steps, or lower first_steps",
        )
    return (f"step cache: TeaCache, threshold {settings.threshold:g}; its pictures differ from full ones",)


def window_note(cache: StepCache) -> str:
    """What the step cache saved in a window."""
    return f"step cache: {cache.left_out} of {cache.computed + cache.left_out} evaluations left out"
