"""Sounds without a speech program: bursts that rise and fall as syllables do, tones, noise and silence."""

from collections.abc import Callable
from math import pi

import torch
from torch.nn import functional as F

from .mouth import SAMPLE_RATE_HZ

SYLLABLE_S = (0.12, 0.35)
PAUSE_S = (0.15, 0.9)
PAUSE_CHANCE = 0.25


def made_up_voice(seed: int, duration_s: float) -> torch.Tensor:
    """A voice that says nothing, (samples,) mono at 16 kHz: hummed and hissed syllables with pauses.

    The same seed gives the same voice and the same words.
    """
    generator = torch.Generator().manual_seed(seed)
    pitch_hz = _between(generator, 90, 260)
    formants_hz = [_between(generator, 300, 800), _between(generator, 900, 2400)]
    pieces: list[torch.Tensor] = []
    samples, total = 0, round(duration_s * SAMPLE_RATE_HZ)
    while samples < total:
        if _between(generator, 0, 1) < PAUSE_CHANCE:
            piece = torch.zeros(round(_between(generator, *PAUSE_S) * SAMPLE_RATE_HZ))
        else:
            piece = _syllable(generator, pitch_hz, formants_hz)
        pieces.append(piece)
        samples += len(piece)
    return torch.cat(pieces)[:total]


def _syllable(generator: torch.Generator, pitch_hz: float, formants_hz: list[float]) -> torch.Tensor:
    count = round(_between(generator, *SYLLABLE_S) * SAMPLE_RATE_HZ)
    time_s = torch.arange(count) / SAMPLE_RATE_HZ
    swell = (pi * torch.linspace(0, 1, count)).sin().clamp(min=0) ** _between(generator, 0.6, 1.5)
    loudness = _between(generator, 0.03, 0.3)
    if _between(generator, 0, 1) < 0.2:
        hiss = torch.randn(count, generator=generator).diff(prepend=torch.zeros(1))
        return 0.4 * loudness * swell * hiss
    pitch = pitch_hz * _between(generator, 0.85, 1.2)
    voiced = torch.zeros(count)
    for harmonic in range(1, int(3500 / pitch)):
        strength = sum(
            1 / (1 + ((harmonic * pitch - formant * _between(generator, 0.8, 1.25)) / 120) ** 2)
            for formant in formants_hz
        )
        voiced += (strength + 0.15 / harmonic) * (2 * pi * harmonic * pitch * time_s).sin()
    return loudness * swell * voiced / voiced.square().mean().sqrt().clamp(min=1e-6)


def probe_signal(generator: torch.Generator, duration_s: float) -> torch.Tensor:
    """A tone, noise or silence that comes and goes, (samples,) mono at 16 kHz, for training."""
    kinds: list[Callable[[torch.Generator, int], torch.Tensor]] = [_tone, _noise, _pulses, _silence]
    count = round(duration_s * SAMPLE_RATE_HZ)
    kind = kinds[int(torch.randint(len(kinds), (1,), generator=generator))]
    steps = torch.rand(max(2, round(duration_s * 2.5)), generator=generator)
    steps = torch.where(torch.rand(steps.shape, generator=generator) < 0.3, torch.zeros(()), steps)
    envelope = F.interpolate(steps[None, None], size=count, mode="linear")[0, 0]
    return 0.3 * envelope * kind(generator, count)


def _tone(generator: torch.Generator, count: int) -> torch.Tensor:
    pitch_hz = _between(generator, 80, 2000)
    return (2 * pi * pitch_hz * torch.arange(count) / SAMPLE_RATE_HZ).sin()


def _noise(generator: torch.Generator, count: int) -> torch.Tensor:
    noise = torch.randn(count, generator=generator)
    return noise - _between(generator, -0.9, 0.9) * noise.roll(1)


def _pulses(generator: torch.Generator, count: int) -> torch.Tensor:
    period = int(_between(generator, 50, 200))
    pulses = torch.zeros(count)
    pulses[::period] = 4
    return pulses - 0.9 * pulses.roll(1)


def _silence(generator: torch.Generator, count: int) -> torch.Tensor:
    del generator
    return torch.zeros(count)


def _between(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
