"""Speech heard while it is still being made: by the chunk, and never a sound of what comes after.

Each window hears the end of the last seconds before its own last frame, which are encoded again for it, with
zeros where nothing was said yet. That is how FlashTalk's authors feed speech that is not finished; a window's
features are then others than those of the whole track. Source: Soul-AILab/SoulX-FlashTalk,
generate_video.py (audio mode `stream`).

Shape letters: T samples, N frames that a window keeps of its buffer, L encoder layers, C channels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ..common.types import FPS, LiveForm
from .loudness import loudness_of_pieces, speech_gain, with_gain
from .waveform import SAMPLES_PER_FRAME, SPEECH_RATE_HZ

Encode = Callable[[torch.Tensor, int], Iterator[torch.Tensor]]
"""Samples (T,) at 16 kHz, all of them real sound, and video frames -> hidden states (n, L, C), in order."""

BUFFER_FRAMES = 8 * FPS
"""What is heard at a time: the authors' 8 seconds."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """What a window hears.

    Attributes:
        samples_T: sound up to the window's last frame, zeros at first.
        gain: what it is multiplied by to have the loudness of speech.
    """

    samples_T: torch.Tensor
    gain: float

    @property
    def heard_T(self) -> torch.Tensor:  # noqa: N802  # letters of a shape
        """The samples as the encoder gets them."""
        return with_gain(self.samples_T, self.gain)


def buffers(
    samples_T: torch.Tensor, chunk_frames: int, buffer_frames: int, *, normalise: bool
) -> Iterator[Buffer]:
    """The buffer of each chunk of a sound; the last chunk is filled with silence.

    Args:
        samples_T: mono samples at 16 kHz; may lie in a file.
        chunk_frames: video frames from one buffer to the next.
        buffer_frames: video frames that a buffer lasts.
        normalise: bring each buffer to the loudness of speech.
    """
    chunk, length = chunk_frames * SAMPLES_PER_FRAME, buffer_frames * SAMPLES_PER_FRAME
    for end in range(chunk, samples_T.shape[0] + chunk, chunk):
        said_T = samples_T[max(0, end - length) : end].clone()
        behind = max(0, end - samples_T.shape[0])
        buffer_T = torch.nn.functional.pad(said_T, (length - said_T.shape[0] - behind, behind))
        loudness = loudness_of_pieces([buffer_T], SPEECH_RATE_HZ) if normalise else None
        yield Buffer(buffer_T, speech_gain(loudness))


def live_features(
    samples_T: torch.Tensor, form: LiveForm, encode: Encode, *, normalise: bool
) -> Iterator[torch.Tensor]:
    """What each window keeps of its buffer: form.kept_frames features (N, L, C), a window after the other."""
    for buffer in buffers(samples_T, form.chunk_frames, BUFFER_FRAMES, normalise=normalise):
        yield torch.cat(list(encode(buffer.heard_T, BUFFER_FRAMES)))[-form.kept_frames :]
