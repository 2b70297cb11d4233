"""Timestep schedules of the talking models, as sigmas for any flow-matching sampler.

A sigma is a timestep over 1000. Source: MeiGen-AI/InfiniteTalk and MeiGen-AI/MultiTalk, wan/multitalk.py;
Soul-AILab/SoulX-FlashTalk, flash_talk/src/pipeline/flash_talk_pipeline.py; SkyworkAI/SkyReels-V3,
skyreels_v3/pipelines/talking_avatar_pipeline.py.
"""

from collections.abc import Sequence

import torch

NUM_TIMESTEPS = 1000
MULTITALK_TIMESTEPS = (1000.0, 750.0, 500.0, 250.0)
"""The distilled list: what the `multitalk` schedule runs, whatever number of steps is asked for."""
FLASHTALK_TIMESTEPS = (1000.0, 750.0, 500.0, 250.0)
FLASHTALK_2_TIMESTEPS = (1000.0, 500.0)
"""The lists that FlashTalk's weights are distilled to, of four steps and of two."""
SKYREELS_TIMESTEPS = (1000.0, 667.0, 334.0, 1.0)
"""Evenly spaced from 1000 to 1: the four steps that SkyReels-V3-A2V runs."""


def shift_timesteps(timesteps: torch.Tensor, shift: float) -> torch.Tensor:
    """Move timesteps (0..1000) toward noise: 1000 * shift * s / (1 + (shift - 1) * s) with s = t / 1000."""
    s = timesteps / NUM_TIMESTEPS
    return shift * s / (1 + (shift - 1) * s) * NUM_TIMESTEPS


def fixed_timesteps(timesteps: Sequence[float], shift: float) -> torch.Tensor:
    """A fixed list and the final 0, shifted; float32, one value more than the list has."""
    return shift_timesteps(torch.tensor([*timesteps, 0.0]), shift)


def infinitetalk_timesteps(steps: int, shift: float) -> torch.Tensor:
    """`steps` evenly spaced timesteps from 1000 to 1 and the final 0, shifted; float32, steps + 1 values."""
    spaced = torch.linspace(NUM_TIMESTEPS, 1, steps, dtype=torch.float64).float()
    return shift_timesteps(torch.cat((spaced, torch.zeros(1))), shift)


def sigmas_of(timesteps: torch.Tensor) -> torch.Tensor:
    """Timesteps as sigmas (0..1)."""
    return timesteps / NUM_TIMESTEPS
