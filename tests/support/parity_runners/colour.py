"""Runs the colour-match cases: a chunk matched to a reference picture at several strengths."""

from evertalk_pack.multitalk.windows.colour import match_colour
from parity_case import Case, Runner
from torch import Tensor

PREFIX = "out_strength_"


def run_color_match(case: Case) -> dict[str, Tensor]:
    """Every strength that the case has an output for; the chunk is (1, channels, frames, height, width)."""
    frames_FHWC = unit_range(case.inputs["in_chunk"][0].permute(1, 2, 3, 0))
    reference_HWC = unit_range(case.inputs["in_reference"][0, :, 0].permute(1, 2, 0))
    strengths = [name.removeprefix(PREFIX) for name in case.outputs if name.startswith(PREFIX)]
    return {
        PREFIX + strength: signed_range(
            match_colour(frames_FHWC, reference_HWC, float(strength)).permute(3, 0, 1, 2)[None]
        )
        for strength in strengths
    }


def unit_range(signed: Tensor) -> Tensor:
    """-1..1 to 0..1."""
    return (signed + 1) / 2


def signed_range(unit: Tensor) -> Tensor:
    """0..1 to -1..1."""
    return unit * 2 - 1


RUNNERS: dict[str, Runner] = {"color_match": run_color_match}
