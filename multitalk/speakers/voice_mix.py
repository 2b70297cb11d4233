"""Several voices in one sound: who speaks when, on tracks of one length, and their sum.

Shape letters: C channels, T samples.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn import functional as F

from ..common.types import Waveform
from ..speech.waveform import padded, resampled, to_mono

VoiceOrder = Literal["para", "add"]
"""`para`: all start together. `add`: one after the other, each silent while the others speak."""


def in_one_format(voices: Sequence[Waveform]) -> tuple[Waveform, ...]:
    """The voices at the highest sample rate of all, and mono if their channel counts differ."""
    sample_rate_hz = max(voice.sample_rate_hz for voice in voices)
    if len({voice.samples_CT.shape[0] for voice in voices}) > 1:
        voices = [to_mono(voice) for voice in voices]
    return tuple(resampled(voice, sample_rate_hz) for voice in voices)


def arrange_voices(voices: Sequence[Waveform | None], order: VoiceOrder) -> tuple[Waveform, ...]:
    """One track a voice, all of one length, with silence wherever the voice does not speak.

    Args:
        voices: at least one sound, all in one format; None is a speaker without a voice, who is silent
            throughout and takes no time (in the authors' code such a speaker doubles the length of `add`).
        order: whether they speak together or in turn. `para` pads the shorter voices at their end (the
            authors' code fails there).
    """
    present = [voice for voice in voices if voice is not None]
    assert present, "at least one speaker has a voice"
    formats = {(voice.samples_CT.shape[0], voice.sample_rate_hz) for voice in present}
    assert len(formats) == 1, f"voices of one format, not {formats}"
    lengths = [0 if voice is None else voice.samples_CT.shape[1] for voice in voices]
    total = max(lengths) if order == "para" else sum(lengths)
    starts = [0 if order == "para" else sum(lengths[:index]) for index in range(len(lengths))]
    return tuple(
        silence_like(present[0], total) if voice is None else _placed(voice, start, total)
        for voice, start in zip(voices, starts, strict=True)
    )


def mix_voices(tracks: Sequence[Waveform]) -> Waveform:
    """The sum of tracks of one length and format; nothing is turned down or limited."""
    samples = torch.stack([track.samples_CT for track in tracks]).sum(dim=0)
    return Waveform(samples, tracks[0].sample_rate_hz)


def silence_like(sound: Waveform, num_samples: int | None = None) -> Waveform:
    """Digital silence in the format of `sound`, as long as it or `num_samples` long."""
    length = sound.samples_CT.shape[1] if num_samples is None else num_samples
    return Waveform(sound.samples_CT.new_zeros(sound.samples_CT.shape[0], length), sound.sample_rate_hz)


def _placed(voice: Waveform, start: int, total: int) -> Waveform:
    """The voice from sample `start` on, in a track of `total` samples."""
    return padded(Waveform(F.pad(voice.samples_CT, (start, 0)), voice.sample_rate_hz), total)
