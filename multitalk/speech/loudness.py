"""Loudness of a sound after ITU-R BS.1770, to the bit as pyloudnorm measures it for the weights' authors.

pyloudnorm copies the whole sound; here it goes through in pieces.

Shape letters: C channels, T samples.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

TARGET_LUFS = -23.0
"""Loudness of the speech that the weights were trained on (EBU R 128)."""

BLOCK_S = 0.4
"""Length of the measure's gating block: a shorter sound has no loudness."""

GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
OFFSET_LUFS = -0.691

LIMIT_LUFS = 100.0
"""A measurement beyond +-100 is not a loudness: digital silence gives minus infinity."""


def loudness_of_pieces(pieces: Iterable[torch.Tensor], sample_rate_hz: int) -> float | None:
    """The integrated loudness of a mono sound whose samples come in pieces (T,).

    Minus infinity if all is gated out, None below BLOCK_S.
    """
    powers = _block_powers(_weighted(pieces, sample_rate_hz), sample_rate_hz)
    return _gated(np.array(powers)) if powers else None


def speech_gain(measured_lufs: float | None, target_lufs: float = TARGET_LUFS) -> float:
    """What a sound of this loudness is multiplied by, without a limiter.

    What has no loudness stays as it is: digital silence, less than BLOCK_S, or measured beyond LIMIT_LUFS.
    """
    if measured_lufs is None or not abs(measured_lufs) <= LIMIT_LUFS:
        return 1.0
    return 10 ** ((target_lufs - measured_lufs) / 20)


def with_gain(samples: torch.Tensor, gain: float) -> torch.Tensor:
    """Samples multiplied in float64, as the authors' numpy does it; one rounding at the end."""
    return samples if gain == 1 else (samples.double() * gain).to(samples.dtype)


def _weighted(pieces: Iterable[torch.Tensor], sample_rate_hz: int) -> Iterator[NDArray[Any]]:
    """Each piece as the ear weighs its pitches: the standard's two filters, one after the other."""
    from pyloudnorm import IIRfilter  # noqa: PLC0415  # imports scipy.signal, which is slow
    from scipy.signal import lfilter  # noqa: PLC0415

    shelf = IIRfilter(4.0, 1 / math.sqrt(2), 1500.0, sample_rate_hz, "high_shelf")
    pass_ = IIRfilter(0.0, 0.5, 38.0, sample_rate_hz, "high_pass")
    states = [np.zeros(2), np.zeros(2)]
    for piece in pieces:
        if not piece.shape[0]:  # lfilter forgets its state over nothing
            continue
        weighted = piece.numpy()
        for index, stage in enumerate((shelf, pass_)):
            filtered, states[index] = lfilter(stage.b, stage.a, weighted, zi=states[index])
            weighted = filtered.astype(np.float32)  # as pyloudnorm keeps it between the filters
        yield weighted


def _block_powers(weighted: Iterable[NDArray[Any]], sample_rate_hz: int) -> list[float]:
    """Mean square of each gating block; none of a sound below BLOCK_S."""
    powers: list[float] = []
    held, before = np.zeros(0, np.float32), 0
    for piece in weighted:
        held = np.concatenate((held, piece))
        while (end := _edge(len(powers) + 4, sample_rate_hz)) <= before + len(held):
            powers.append(
                _power(held, _edge(len(powers), sample_rate_hz) - before, end - before, sample_rate_hz)
            )
        spent = _edge(len(powers), sample_rate_hz) - before
        held, before = held[spent:], before + spent
    total = before + len(held)
    if total < BLOCK_S * sample_rate_hz:
        return []
    count = int(np.round((total / sample_rate_hz - BLOCK_S) / (BLOCK_S * 0.25))) + 1
    while len(powers) < count:  # the last block may reach past the end
        start, end = (_edge(len(powers) + step, sample_rate_hz) - before for step in (0, 4))
        powers.append(_power(held, start, end, sample_rate_hz))
    return powers[:count]


def _edge(step: int, sample_rate_hz: int) -> int:
    """The sample at which block `step` begins, and block `step - 4` ends."""
    return int(BLOCK_S * (step * 0.25) * sample_rate_hz)


def _power(samples: NDArray[Any], start: int, end: int, sample_rate_hz: int) -> float:
    return float((1.0 / (BLOCK_S * sample_rate_hz)) * np.sum(np.square(samples[start:end])))


def _gated(powers: Sequence[float] | NDArray[Any]) -> float:
    """The loudness of the blocks that are loud enough to be speech."""
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # log10(0) and the mean of no block: silence
        powers = np.asarray(powers)
        lufs = OFFSET_LUFS + 10.0 * np.log10(powers)
        gate = OFFSET_LUFS + 10.0 * np.log10(np.mean(powers[lufs >= GATE_LUFS])) + RELATIVE_GATE_LU
        kept = powers[(lufs > gate) & (lufs > GATE_LUFS)]
        return float(OFFSET_LUFS + 10.0 * np.log10(np.nan_to_num(np.mean(kept))))
