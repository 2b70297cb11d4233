"""What is heard in the video where that is another sound than the speech that moves the lips.

Shape letters: C channels, T samples.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from ..common.tensor_file import gathered_channels, pieces_of
from ..common.types import FPS, Waveform
from ..media.sound_blocks import silence

UNHEARD_S = 1 / FPS
"""A difference in length below one video frame is not worth a word."""


def as_long_as(speech: Waveform, soundtrack: Waveform, folder: Path | None = None) -> Waveform:
    """The soundtrack, as long as the speech: cut off at its end, or followed by silence.

    Args:
        speech: decides how long the video is.
        soundtrack: at any rate, with any channels.
        folder: where a long one is kept; None: in memory.

    Returns:
        The sound; its notes say what was done, where it can be heard.

    Raises:
        InputError: the folder's disk is full or gone.
    """
    wanted = max(1, round(speech.duration_s * soundtrack.sample_rate_hz))
    if soundtrack.samples_CT.shape[1] == wanted:
        return soundtrack
    samples_CT = gathered_channels(_pieces(soundtrack.samples_CT, wanted), folder)
    notes = (*soundtrack.notes, *_notes(speech.duration_s, soundtrack.duration_s))
    return Waveform(samples_CT, soundtrack.sample_rate_hz, notes)


def _pieces(samples_CT: torch.Tensor, wanted: int) -> Iterator[torch.Tensor]:
    channels, length = samples_CT.shape
    yield from (piece_CT.float() for piece_CT in pieces_of(samples_CT[:, :wanted]))
    yield from silence(wanted - length, channels)


def _notes(speech_s: float, soundtrack_s: float) -> tuple[str, ...]:
    if abs(soundtrack_s - speech_s) < UNHEARD_S:
        return ()
    if soundtrack_s > speech_s:
        return (
            f"soundtrack: it lasts {soundtrack_s:.2f} s, the speech {speech_s:.2f} s, which is how long the "
            "video is: the rest of it is cut off.",
        )
    return (
        f"soundtrack: it lasts {soundtrack_s:.2f} s, the speech {speech_s:.2f} s, which is how long the "
        "video is: the video is silent after it.",
    )
