"""Samples as they come: whole numbers as floats, and two channels that lie interleaved in one.

ComfyUI 0.3.75's Get Video Components hands on what FFmpeg decodes. PCM and FLAC come as int16 or int32,
stereo as one channel of double length (left, right, left, right, ...); ALAC comes as int16 or int32, channel
by channel. Newer releases (0.33) give float32, channel by channel.

Shape letters: C channels, T samples.
"""

import torch

from ..common.errors import InputError

FULL_SCALES = {
    torch.int8: 2**7,
    torch.uint8: 2**7,
    torch.int16: 2**15,
    torch.int32: 2**31,
    torch.int64: 2**63,
}
"""The whole number that is full scale, as ComfyUI's own Load Audio divides; uint8 is silent at 128."""

CHUNK = 2048
"""Samples that are looked at together."""

MOST_CHUNKS = 64
"""So many are looked at, spread over the sound."""

LOUD_PART = 0.01
"""Of the loudest chunk's power: quieter chunks hold a recording's noise alone, and are left out."""

FEWEST_CHUNKS = 4
"""With fewer loud chunks nothing is told."""

CHUNKS_AGREE = 0.9
"""The part of the loud chunks that have to look interleaved: it is the whole sound or nothing."""

PAIR_RATIO = 1.3
"""How unlike the steps within pairs and between pairs are, in power, where two channels are alike."""

STEP_RATIO = 0.4
"""How small two samples' step is beside one sample's, in power, where two channels are unlike.

In one channel this would need most of the sound above 0.8 of the highest pitch it can hold.
"""


SURROUND, SURROUND_RATIO = (4, 6, 8), 0.25
"""Numbers of channels that are looked for beyond two, and how small a step in one of them is, in power."""


def float_samples(samples: torch.Tensor, socket: str) -> torch.Tensor:
    """Samples as float32, with whole numbers scaled so that their range becomes -1..1.

    Raises:
        InputError: they are neither whole numbers nor floats.
    """
    if samples.is_floating_point():
        return samples.float()
    full = FULL_SCALES.get(samples.dtype)
    if full is None:
        raise InputError(
            f"{socket}: got samples of type {samples.dtype}, expected floats in -1..1, or whole numbers of "
            "8, 16, 32 or 64 bits; load the sound with Load Audio"
        )
    values = samples.float()
    return (values - full if samples.dtype == torch.uint8 else values) / full


def is_interleaved(samples_CT: torch.Tensor) -> bool:
    """Whether a sound of one channel surely is two, left and right in turn.

    In one channel the steps from even to odd samples and those from odd to even are as large as each other.
    In two interleaved ones the first lead from left to right, the second also from one time to the next:
    where the channels are alike, the second are larger; where they are not, a step of two samples is smaller
    than one of a single sample. Two channels of nothing but white noise are not told apart.
    """
    if samples_CT.shape[0] != 1:
        return False
    loud = _loud_chunks(samples_CT)
    told = sum(_looks_interleaved(chunk_T) for chunk_T in loud)
    return len(loud) >= FEWEST_CHUNKS and told >= CHUNKS_AGREE * len(loud)


def surround_channels(samples_CT: torch.Tensor) -> int:
    """How many channels, 4, 6 or 8, surely lie in turn in a sound's one channel; 0: not so.

    A step of as many samples as there are channels stays in one channel and is far smaller than one from
    channel to channel. Only a steady tone near the sample rate's fourth, sixth or eighth part is like that.
    """
    if samples_CT.shape[0] != 1:
        return 0
    loud = _loud_chunks(samples_CT)
    if len(loud) < FEWEST_CHUNKS:
        return 0
    for channels in SURROUND:
        if sum(_is_smooth(chunk_T, channels) for chunk_T in loud) >= CHUNKS_AGREE * len(loud):
            return channels
    return 0


def _is_smooth(chunk_T: torch.Tensor, channels: int) -> bool:
    """Whether steps of so many samples are far smaller than all shorter ones."""
    steps = [float((chunk_T[step:] - chunk_T[:-step]).square().mean()) for step in range(1, channels + 1)]
    return steps[-1] < SURROUND_RATIO * min(steps[:-1])


def split_channels(samples_CT: torch.Tensor) -> torch.Tensor:
    """Two interleaved channels (1, 2 T) as (2, T); an odd last sample is left out."""
    length = samples_CT.shape[1] // 2
    return samples_CT[0, : 2 * length].view(length, 2).T.contiguous()


def _loud_chunks(samples_CT: torch.Tensor) -> list[torch.Tensor]:
    """Chunks of a sound of one channel that are not quiet beside the loudest, (CHUNK,) each."""
    count = samples_CT.shape[1] // CHUNK
    chunks = [samples_CT[0, start : start + CHUNK].double() for start in _starts(count)]
    powers = [float(chunk_T.diff().square().sum()) for chunk_T in chunks]
    return [
        chunk_T
        for chunk_T, power in zip(chunks, powers, strict=True)
        if power > 0 and power >= LOUD_PART * max(powers)
    ]


def _starts(count: int) -> list[int]:
    """Where chunks begin, at even samples, spread over `count` chunks."""
    taken = min(count, MOST_CHUNKS)
    return [number * count // taken * CHUNK for number in range(taken)]


def _looks_interleaved(chunk_T: torch.Tensor) -> bool:
    """The same of one chunk that begins at an even sample and is not silent."""
    steps_T = chunk_T.diff().square()
    within, between = float(steps_T[0::2].sum()), float(steps_T[1::2].sum())
    if between > PAIR_RATIO * within:
        return True
    over_two = float((chunk_T[2:] - chunk_T[:-2]).square().sum())
    return over_two < STEP_RATIO * (within + between)
