"""Where a sound track ends without what its encoder filled the last block up with.

FFmpeg's libraries leave that filling away since PyAV 19, hand it out before; EverTalk's nodes never take it.
So the parts of a sound make as many frames as the whole.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer

Samples = npt.NDArray[np.float32]

TELLS_ITS_END = "mp4"
"""In the name of the reader of files whose length is that of the sound without filling."""

MAX_FILLING = 8192
"""Samples; no codec's block is longer."""


def told_samples(container: InputContainer, stream: AudioStream, rate_hz: int) -> int | None:
    """How many samples at rate_hz a track has by its file's head; None where the head is not exact."""
    if stream.duration is None or stream.time_base is None:
        return None
    if TELLS_ITS_END not in container.format.name.split(","):
        return None
    return round(stream.duration * Fraction(stream.time_base) * rate_hz)


def without_filling(pieces_CT: Iterable[Samples], samples: int | None) -> Iterator[Samples]:
    """The pieces of a sound up to `samples`, if no more than a filling lies behind; None: all of them."""
    held: deque[Samples] = deque()
    came = waiting = 0
    for piece_CT in pieces_CT:
        held.append(piece_CT)
        came += piece_CT.shape[1]
        waiting += piece_CT.shape[1]
        while waiting - held[0].shape[1] >= MAX_FILLING:
            waiting -= held[0].shape[1]
            yield held.popleft()
    is_filled = samples is not None and 0 < came - samples <= MAX_FILLING
    left = waiting - (came - samples) if is_filled and samples is not None else waiting
    for piece_CT in held:
        if left > 0:
            yield piece_CT[:, :left]
        left -= piece_CT.shape[1]
