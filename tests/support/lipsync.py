"""Measures from pixels alone whether mouths follow voices, and whether people stay who they are.

Works on frames of the cartoon world of demo/world, whose mouths have a colour of their own.

Shape letters: F frames, H and W pixels, C colours; frames hold 0..1.
"""

from dataclasses import dataclass

import torch
from world.lips import MOUTH_TO, correlation, openings_px

__all__ = [
    "MOUTH_TO",
    "Sync",
    "colour_drift",
    "correlation",
    "flat_places",
    "measure_sync",
    "openings_px",
    "psnr_db",
]

MAX_LAG = 6

SWAY_REACH_PX = 5
"""People sway 1.5 px each way; their outlines are soft."""

FLAT_RANGE = 0.06
"""Of values within that reach; backgrounds shade off from top to bottom."""


@dataclass(frozen=True, slots=True)
class Sync:
    """How a mouth follows a voice.

    Attributes:
        correlation: of opening and law at no lag.
        best: the highest correlation at any lag up to MAX_LAG frames.
        lag: that lag in frames; positive: the mouth is late.
    """

    correlation: float
    best: float
    lag: int


def measure_sync(opening_F: torch.Tensor, law_F: torch.Tensor) -> Sync:
    """Compare a measured mouth with what it should do."""
    count = len(law_F)
    assert len(opening_F) == count, "as many frames as the law has"
    by_lag = {
        lag: correlation(
            opening_F[max(lag, 0) : count + min(lag, 0)], law_F[max(-lag, 0) : count + min(-lag, 0)]
        )
        for lag in range(-MAX_LAG, MAX_LAG + 1)
    }
    lag = max(by_lag, key=lambda key: (by_lag[key], -abs(key)))
    return Sync(by_lag[0], by_lag[lag], lag)


def flat_places(reference_HWC: torch.Tensor) -> torch.Tensor:
    """Which pixels (H, W) have one colour all around, so far that a swaying head moves no edge onto them."""
    pixels = reference_HWC.float().movedim(-1, 0)[None]
    most = torch.nn.functional.max_pool2d(pixels, 2 * SWAY_REACH_PX + 1, 1, SWAY_REACH_PX)
    least = -torch.nn.functional.max_pool2d(-pixels, 2 * SWAY_REACH_PX + 1, 1, SWAY_REACH_PX)
    return ((most - least).amax(dim=1) < FLAT_RANGE)[0]


def colour_drift(frames_FHWC: torch.Tensor, reference_HWC: torch.Tensor) -> float:
    """How far the mean colour of the picture's flat places is from the reference's, of the worst channel.

    Over the whole picture the mean would move with an opening mouth and a swaying head, which are no drift.
    """
    flat = flat_places(reference_HWC)
    now, then = frames_FHWC[:, flat].float().mean(dim=(0, 1)), reference_HWC[flat].float().mean(dim=0)
    return float((now - then).abs().max())


def psnr_db(a: torch.Tensor, b: torch.Tensor) -> float:
    """Peak signal to noise ratio of two pictures or videos."""
    return float(-10 * torch.log10((a - b).square().mean().clamp(min=1e-12)))
