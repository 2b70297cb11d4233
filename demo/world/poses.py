"""How people move beside speaking: they sway a little and blink.

Shape letters: N scenes, S people of a scene, F frames.
"""

from math import pi

import torch

from .draw import Pose
from .people import MAX_PEOPLE

SWAY_PX = 1.5
SWAY_FRAMES = (60.0, 140.0)
BLINK_FRAMES = 1.6
BLINK_CHANCE = 0.35
"""Of a blink in 33 frames."""


def swaying(generator: torch.Generator, opening_NSF: torch.Tensor, narrow_NSF: torch.Tensor) -> Pose:
    """Mouths as given, heads that sway, eyes that blink now and then; on the generator's device."""
    scenes, _, frames = opening_NSF.shape
    device = generator.device
    time_F = torch.arange(frames, device=device)

    def random() -> torch.Tensor:
        return torch.rand(scenes, MAX_PEOPLE, 1, generator=generator, device=device)

    def sway() -> torch.Tensor:
        low, high = SWAY_FRAMES
        period = low + (high - low) * random()
        phase = 2 * pi * random()
        size = SWAY_PX * random()
        return size * (2 * pi * time_F / period + phase).sin()

    blinks = max(1, round(frames / 33))
    span = frames / blinks
    eyes = torch.ones(scenes, MAX_PEOPLE, frames, device=device)
    for number in range(blinks):
        when = span * (number + random())
        comes = (random() < BLINK_CHANCE).float()
        eyes = eyes - comes * torch.exp(-(((time_F - when) / BLINK_FRAMES) ** 2))
    return Pose(opening_NSF, narrow_NSF, eyes.clamp(0, 1), sway(), sway())
