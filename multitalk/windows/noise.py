"""Noise of a run: each window's own, so that a window can be made again alone."""

from collections.abc import Callable

import torch

SEED_STRIDE = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio: neighbouring windows and neighbouring seeds get unrelated generators."""
SEED_RANGE = 2**63


def window_seed(seed: int, window_index: int) -> int:
    """The seed of a window: the run's own for the first, spread over 63 bits for later ones."""
    return (seed + window_index * SEED_STRIDE) % SEED_RANGE


def draw(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Standard normal noise in float32, on the CPU: the same numbers on every machine."""
    return torch.randn(shape, generator=generator, dtype=torch.float32)


Draw = Callable[[tuple[int, ...]], torch.Tensor]
"""Gives fresh noise of a shape at every call."""


def seeded_noise(seed: int, window_index: int) -> Draw:
    """All noise of a window, one draw after the other: the starting noise first."""
    generator = torch.Generator("cpu").manual_seed(window_seed(seed, window_index))
    return lambda shape: draw(shape, generator)
