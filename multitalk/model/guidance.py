"""Text and audio guidance: which predictions a step needs, at the fewest, and how they are combined.

Plain guidance is two classifier-free directions. APG drops the share of a direction that is parallel to the
full prediction and tames its length (Sadat and others, "Eliminating Oversaturation and Artifacts of High
Guidance Scales", 2024); as the weights' authors use it, its base is the full prediction and its factors are
scale - 1.

Predictions have the shape (batch, channels, frames, height, width), or the same without the batch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import torch

from ..common.errors import InputError

APG_MOMENTUM = -0.75
APG_NORM_THRESHOLD = 55.0
"""The authors' defaults. The momentum is negative: a direction that repeats is weakened."""

PREDICTION_DIMS = (-4, -3, -2, -1)


class Branch(Enum):
    """What the model is told when it predicts."""

    FULL = "prompt and audio"
    NO_TEXT = "negative prompt and audio"
    NO_AUDIO = "prompt and an all-zero track"
    NONE = "negative prompt and an all-zero track"


@dataclass(frozen=True, slots=True)
class GuidanceSettings:
    """How strongly text and audio pull.

    Attributes:
        text_scale: 1 is off, above 1 follows the prompt more closely.
        audio_scale: 1 is off (audio still conditions), above 1 moves the lips more; 0 is silent in every
            step.
        apg: whether directions go through adaptive projected guidance.
        apg_momentum: share of the previous step's direction that is added to a direction.
        apg_norm_threshold: the greatest length of a direction; 0 leaves lengths alone.
        audio_start_percent: where in sampling, in 0..1, the audio scale begins to apply; before, it counts as
            1.
        audio_end_percent: where it ceases to apply; from there on it counts as 1.
    """

    text_scale: float = 1.0
    audio_scale: float = 1.0
    apg: bool = False
    apg_momentum: float = APG_MOMENTUM
    apg_norm_threshold: float = APG_NORM_THRESHOLD
    audio_start_percent: float = 0.0
    audio_end_percent: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("text_scale", self.text_scale), ("audio_scale", self.audio_scale)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value:g}; give 0 or more (1 is off, 2 to 5 is usual)")
        if not -1 < self.apg_momentum < 1:
            raise InputError(
                f"apg_momentum is {self.apg_momentum:g}; give a number between -1 and 1 (usual: "
                f"{APG_MOMENTUM:g})"
            )
        if not self.apg_norm_threshold >= 0:
            raise InputError(f"apg_norm_threshold is {self.apg_norm_threshold:g}; give 0 (no limit) or more")
        start, end = self.audio_start_percent, self.audio_end_percent
        for name, value in (("audio_start_percent", start), ("audio_end_percent", end)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} is {value:g}; give a share of the steps from 0 to 1")
        if start > end:
            raise InputError(
                f"audio_end_percent is {end:g}, before audio_start_percent, which is {start:g}; give 0 <= "
                "start <= end <= 1"
            )

    def audio_active(self, progress: float) -> bool:
        """Whether the audio scale applies when the share `progress` of sampling, in 0..1, is done."""
        return self.audio_start_percent <= progress and (
            progress < self.audio_end_percent or self.audio_end_percent == 1
        )


@dataclass(frozen=True, slots=True)
class ApgState:
    """What APG carries from step to step of one window; None before a direction was first used.

    Attributes:
        text: the text direction with its momentum, shaped as a prediction.
        audio: the audio direction with its momentum, shaped as a prediction.
    """

    text: torch.Tensor | None = None
    audio: torch.Tensor | None = None


def branches_needed(settings: GuidanceSettings, *, audio_active: bool) -> tuple[Branch, ...]:
    """The fewest predictions that the settings need in one step.

    Where audio guidance is not active its scale counts as 1, but a scale of 0 silences every step: a voice
    that was asked to be silent must not return for a part of sampling.
    """
    text_off = math.isclose(settings.text_scale, 1)
    if settings.audio_scale == 0:  # silent: nothing that has heard the audio takes part
        return (Branch.NO_AUDIO,) if text_off else (Branch.NO_AUDIO, Branch.NONE)
    audio_off = not audio_active or math.isclose(settings.audio_scale, 1)
    if audio_off:
        return (Branch.FULL,) if text_off else (Branch.FULL, Branch.NO_TEXT)
    return (Branch.FULL, Branch.NO_AUDIO) if text_off else (Branch.FULL, Branch.NO_TEXT, Branch.NONE)


def combine(
    predictions: Mapping[Branch, torch.Tensor], settings: GuidanceSettings, apg_state: ApgState
) -> tuple[torch.Tensor, ApgState]:
    """Combines the predictions of one step, exactly those that `branches_needed` listed for it.

    Returns:
        the guided prediction and the state for the next step (a new `ApgState()` begins each window). A
        direction that this step does not use keeps its momentum.
    """
    base = predictions[Branch.FULL] if Branch.FULL in predictions else predictions[Branch.NO_AUDIO]
    text, audio = _directions(predictions)
    if not settings.apg:
        return _plain(base, text, audio, settings), apg_state
    guided = base
    if text is not None:
        text = _with_momentum(text, apg_state.text, settings)
        guided = guided + (settings.text_scale - 1) * _project(text, base, settings.apg_norm_threshold)
    if audio is not None:
        audio = _with_momentum(audio, apg_state.audio, settings)
        guided = guided + (settings.audio_scale - 1) * _project(audio, base, settings.apg_norm_threshold)
    kept = ApgState(
        text=apg_state.text if text is None else text, audio=apg_state.audio if audio is None else audio
    )
    return guided, kept


def _directions(
    predictions: Mapping[Branch, torch.Tensor],
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """The text and the audio direction that the given branches span; None is a direction that is off."""
    match sorted(branch.name for branch in predictions):
        case ["FULL"] | ["NO_AUDIO"]:
            return None, None
        case ["FULL", "NO_AUDIO"]:
            return None, predictions[Branch.FULL] - predictions[Branch.NO_AUDIO]
        case ["FULL", "NO_TEXT"]:
            return predictions[Branch.FULL] - predictions[Branch.NO_TEXT], None
        case ["NONE", "NO_AUDIO"]:
            return predictions[Branch.NO_AUDIO] - predictions[Branch.NONE], None
        case ["FULL", "NONE", "NO_TEXT"]:
            text = predictions[Branch.FULL] - predictions[Branch.NO_TEXT]
            return text, predictions[Branch.NO_TEXT] - predictions[Branch.NONE]
        case names:
            raise AssertionError(f"branches_needed lists no such set: {names}")


def _plain(
    base: torch.Tensor, text: torch.Tensor | None, audio: torch.Tensor | None, settings: GuidanceSettings
) -> torch.Tensor:
    """`none + s_t * text + s_a * audio`, written from the full prediction, which is the sum of all three."""
    guided = base
    if text is not None:
        guided = guided + (settings.text_scale - 1) * text
    if audio is not None:
        guided = guided + (settings.audio_scale - 1) * audio
    return guided


def _with_momentum(
    direction: torch.Tensor, previous: torch.Tensor | None, settings: GuidanceSettings
) -> torch.Tensor:
    return direction if previous is None else direction + settings.apg_momentum * previous


def _project(direction: torch.Tensor, base: torch.Tensor, norm_threshold: float) -> torch.Tensor:
    """The direction at most `norm_threshold` long, less its share parallel to `base`."""
    if norm_threshold > 0:
        length = torch.linalg.vector_norm(direction, dim=PREDICTION_DIMS, keepdim=True)
        direction = direction * (norm_threshold / length.clamp(min=1e-12)).clamp(max=1)
    # in float64: the parallel share is a difference of two sums over a million values
    wide, axis = direction.double(), base.double()
    axis = axis / torch.linalg.vector_norm(axis, dim=PREDICTION_DIMS, keepdim=True).clamp(min=1e-12)
    parallel = (wide * axis).sum(dim=PREDICTION_DIMS, keepdim=True) * axis
    return (wide - parallel).to(direction.dtype)
