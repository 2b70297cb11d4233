"""The law of this world: how a mouth stands at each video frame of a sound.

Shape letters: T samples, F video frames.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

SAMPLE_RATE_HZ = 16000
FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS

SMOOTHING = (1.0, 2.0, 3.0, 2.0, 1.0)
"""Weights of the five frames whose energies a mouth follows: lips do not jump."""

HALF_OPEN = 0.9
"""Loudness, in units of the whole track's, at which a mouth is open to 1 - 1/e."""

SILENCE = 1e-8
"""Mean square below which a track counts as silent."""

HISS = 0.3
"""Energy of the differences, in units of the energy, at which a sound is half way to a hiss."""


@dataclass(frozen=True, slots=True)
class MouthLaw:
    """How a mouth stands at each frame.

    Attributes:
        opening_F: 0 shut to 1 as far as it goes: by the loudness relative to the track's own.
        narrow_F: 0 wide to 1 narrow: by how much the sound hisses.
    """

    opening_F: torch.Tensor
    narrow_F: torch.Tensor


def mouth_law(samples_T: torch.Tensor, num_frames: int, sound_samples: int | None = None) -> MouthLaw:
    """The mouth of who speaks `samples_T`, mono at 16 kHz.

    Args:
        samples_T: the sound.
        num_frames: how many frames to give; beyond the sound there is silence.
        sound_samples: how many leading samples are the sound that loudness is measured against; None: all.
    """
    samples = samples_T.double()
    needed = num_frames * SAMPLES_PER_FRAME
    samples = F.pad(samples, (0, max(0, needed - len(samples))))[:needed]
    measured = samples_T[:sound_samples].double().square().mean().clamp(min=SILENCE)
    differences = F.pad(samples.diff(), (1, 0))
    energy_F = _smoothed(samples.square().reshape(num_frames, -1).mean(dim=1)) / measured
    hiss_F = _smoothed(differences.square().reshape(num_frames, -1).mean(dim=1)) / measured
    opening_F = 1 - torch.exp(-energy_F.sqrt() / HALF_OPEN)
    narrow_F = hiss_F / (hiss_F + HISS * energy_F + 1e-3)
    return MouthLaw(opening_F.float(), narrow_F.float())


def _smoothed(values_F: torch.Tensor) -> torch.Tensor:
    weights = values_F.new_tensor(SMOOTHING)
    padded = F.pad(values_F[None, None], (2, 2), mode="replicate")
    return F.conv1d(padded, (weights / weights.sum())[None, None])[0, 0]
