"""Runs the guidance cases: stored predictions of several steps, combined at several scales."""

from evertalk_pack.multitalk.model.guidance import (
    ApgState,
    Branch,
    GuidanceSettings,
    branches_needed,
    combine,
)
from parity_case import Case, Runner
from torch import Tensor

GOLDEN_NAMES = {
    Branch.FULL: "cond",
    Branch.NO_TEXT: "drop_text",
    Branch.NO_AUDIO: "drop_audio",
    Branch.NONE: "uncond",
}


def run_guidance(case: Case) -> dict[str, Tensor]:
    """Every run of the case, step after step, with only the predictions that its scales need."""
    outputs: dict[str, Tensor] = {}
    for name, text_scale, audio_scale, apg in case.config["runs"]:
        settings = GuidanceSettings(
            text_scale=text_scale,
            audio_scale=audio_scale,
            apg=apg,
            apg_momentum=case.config["apg_momentum"],
            apg_norm_threshold=case.config["apg_norm_threshold"],
        )
        outputs |= run_steps(case, str(name), settings)
    return outputs


def run_steps(case: Case, name: str, settings: GuidanceSettings) -> dict[str, Tensor]:
    """One run: momentum is carried from step to step."""
    outputs: dict[str, Tensor] = {}
    state = ApgState()
    for step in range(int(case.inputs["in_steps"])):
        predictions = {
            branch: case.inputs[f"in_step{step}_{GOLDEN_NAMES[branch]}"]
            for branch in branches_needed(settings, audio_active=True)
        }
        outputs[f"out_{name}_step{step}"], state = combine(predictions, settings, state)
    return outputs


RUNNERS: dict[str, Runner] = {"guidance": run_guidance}
