"""Loudness of a sound after ITU-R BS.1770, measured with pyloudnorm as the weights' authors did.

Shape letters: C channels, T samples.
"""

import warnings

from .types import Waveform

TARGET_LUFS = -23.0
"""Loudness of the speech that the weights were trained on (EBU R 128)."""

BLOCK_S = 0.4
"""Length of the measure's gating block: a shorter sound has no loudness."""

LIMIT_LUFS = 100.0
"""A measurement beyond +-100 is no loudness: digital silence gives minus infinity."""


def loudness_lufs(speech: Waveform) -> float | None:
    """The integrated loudness of a mono sound; minus infinity if all is gated out, None below BLOCK_S."""
    samples = speech.samples_CT
    assert samples.shape[0] == 1, f"one channel, not {samples.shape[0]}"
    if samples.shape[1] < BLOCK_S * speech.sample_rate_hz:
        return None
    import pyloudnorm  # noqa: PLC0415  # imports scipy.signal, which is slow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # log10(0) and the mean of no block: silence
        return float(pyloudnorm.Meter(speech.sample_rate_hz).integrated_loudness(samples[0].numpy()))


def at_speech_loudness(speech: Waveform) -> Waveform:
    """A mono sound brought to TARGET_LUFS, without a limiter.

    What has no loudness stays as it is: digital silence, less than BLOCK_S, or measured beyond LIMIT_LUFS.
    """
    measured = loudness_lufs(speech)
    if measured is None or not abs(measured) <= LIMIT_LUFS:
        return speech
    gain = 10 ** ((TARGET_LUFS - measured) / 20)
    # float64 as the authors' numpy computes it; one rounding at the end
    return Waveform((speech.samples_CT.double() * gain).to(speech.samples_CT.dtype), speech.sample_rate_hz)
