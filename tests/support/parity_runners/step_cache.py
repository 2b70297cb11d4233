"""Runs the TeaCache cases: the decisions and accumulators of branches that take turns."""

from collections.abc import Mapping

import torch
from evertalk_pack.wanvideo.step_cache import FIRST_STEPS, Drift, StepCacheSettings, decide
from parity_case import Case, Runner

EARLY = 1
"""Steps at either end that the second form of the reference always computes; it reads another embedding."""


def run_teacache(case: Case) -> Mapping[str, torch.Tensor]:
    """Every run of the case."""
    outputs: dict[str, torch.Tensor] = {}
    for name, model, threshold, reads_modulation in case.config["runs"]:
        size = "720" if "720" in str(model) else "480"
        form = "ret" if reads_modulation else "noret"
        settings = StepCacheSettings(
            float(threshold),
            tuple(case.config["coefficients"][f"{size}_{form}"]),
            first_steps=FIRST_STEPS if reads_modulation else EARLY,
            last_steps=0 if reads_modulation else EARLY,
        )
        embeddings = case.inputs["in_modulated" if reads_modulation else "in_e"]
        needed, accumulated = run_calls(case, settings, embeddings)
        outputs[f"out_should_calc_{name}"] = torch.tensor(needed)
        outputs[f"out_accumulated_{name}"] = torch.tensor(accumulated, dtype=torch.float64)
    return outputs


def run_calls(
    case: Case, settings: StepCacheSettings, embeddings: torch.Tensor
) -> tuple[list[bool], list[float]]:
    """The decision of each call, and its branch's accumulator after it."""
    branches, steps = int(case.config["calls_per_step"]), int(case.config["sample_steps"])
    drifts = [Drift() for _ in range(branches)]
    needed: list[bool] = []
    accumulated: list[float] = []
    for call, embedding in enumerate(embeddings):
        branch, step = call % branches, call // branches
        always = settings.always_computes(step, steps)
        is_needed, drifts[branch] = decide(drifts[branch], embedding, settings, always=always)
        needed.append(is_needed)
        accumulated.append(drifts[branch].accumulated)
    return needed, accumulated


RUNNERS: dict[str, Runner] = {"teacache": run_teacache}
