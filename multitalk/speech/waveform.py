"""Sound as it comes in, as the speech encoder hears it, and as long as the video needs it.

Shape letters: C channels, T samples.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

from ..common.errors import InputError
from ..common.tensor_file import pieces_of
from ..common.types import FPS, TAIL_FRAMES, Waveform
from ..media.sound_blocks import silence

SPEECH_RATE_HZ = 16000
"""Samples a second that wav2vec2 was trained on."""

FULL_SCALE = 1.0
"""Samples beyond it are cut off when a file is played."""

OVERSHOOT = 2**0.5
"""Peaks up to here, 3 dB beyond full scale, are what MP3 and AAC make of loud sound."""

MAX_PEAK = 100.0
"""40 dB beyond full scale: these are not samples in -1..1, but whole numbers that nobody scaled."""

SAMPLES_PER_FRAME = SPEECH_RATE_HZ // FPS
"""Samples at SPEECH_RATE_HZ that one video frame lasts."""


def check_sound(sound: Waveform, socket: str = "audio") -> float:
    """Refuse a sound that cannot be spoken; its peak, for which it is read once: a day's lies on the disk.

    Args:
        sound: what came in.
        socket: the name of the input it came through, for the message.

    Raises:
        InputError: it is not (channels, time) of floating-point samples, is empty, has no sample rate, or
            holds values that are not numbers, or far beyond full scale.
    """
    samples = sound.samples_CT
    if samples.ndim != 2 or not samples.is_floating_point():
        raise InputError(
            f"{socket}: got samples of shape {tuple(samples.shape)} and type {samples.dtype}, expected "
            "floating-point samples (channels, time); load the sound with Load Audio"
        )
    if samples.numel() == 0:
        raise InputError(
            f"{socket}: the sound is empty ({samples.shape[0]} channels, {samples.shape[1]} samples), "
            "expected at least one sample; choose another file, or widen the cut that made it"
        )
    if sound.sample_rate_hz <= 0:
        raise InputError(
            f"{socket}: the sample rate is {sound.sample_rate_hz} Hz, expected more than 0; load the sound "
            "again with Load Audio"
        )
    peak = peak_of(samples)
    if not math.isfinite(peak):
        bad = sum(int((~piece.isfinite()).sum()) for piece in pieces_of(samples))
        raise InputError(
            f"{socket}: {bad} of {samples.numel()} samples are NaN or infinite, expected numbers; a node "
            "before this one broke the sound: connect its input instead, or load the sound again"
        )
    if peak > MAX_PEAK:
        raise InputError(
            f"{socket}: the loudest sample is {peak:.6g}, expected -1..1; a node before this one gives whole "
            "numbers as they are, or turned the sound up without end: load the sound with Load Audio or "
            "EverTalk Load Speech, or divide it by its full scale (32768 for 16 bits)"
        )
    return peak


def peak_of(samples_CT: torch.Tensor) -> float:
    """The largest absolute value; 0 where there is none, NaN where one is."""
    peaks = [float(piece.abs().max()) for piece in pieces_of(samples_CT) if piece.numel()]
    return next(filter(math.isnan, peaks), max(peaks, default=0.0))


def peak_notes(peak: float, socket: str = "audio") -> tuple[str, ...]:
    """Says that a sound is cut off when it is played, if its peak is far beyond full scale."""
    if peak <= OVERSHOOT:
        return ()
    note = (
        f"{socket}: the loudest sample is {peak:.2f} times full scale ({20 * math.log10(peak):+.1f} dB); the "
        "video's sound will be cut off there when it is played. Turn the recording down if you hear it."
    )
    return (note,)


def video_frames_of(sound: Waveform) -> int:
    """Frames of the video that lasts as long as `sound`, and at least 1."""
    return video_frames_in(sound.duration_s)


def video_frames_in(duration_s: float) -> int:
    """Frames of the video that lasts so many seconds, and at least 1.

    Python's own `round`: of two equally near counts it takes the even one; 0.1 s (2.5 frames) give 2.
    """
    return max(1, round(FPS * duration_s))


def to_mono(sound: Waveform) -> Waveform:
    """The mean of all channels."""
    return Waveform(sound.samples_CT.mean(dim=0, keepdim=True), sound.sample_rate_hz)


def resampled(sound: Waveform, sample_rate_hz: int) -> Waveform:
    """The same sound at another rate, by librosa's default (soxr_hq), which the authors used.

    Its length is ceil(samples * ratio): a sound never becomes empty.
    """
    if sound.sample_rate_hz == sample_rate_hz:
        return sound
    import librosa  # noqa: PLC0415  # seconds to import, and only when a sound really has another rate

    samples_CT = librosa.resample(
        sound.samples_CT.float().numpy(), orig_sr=sound.sample_rate_hz, target_sr=sample_rate_hz
    )
    return Waveform(torch.from_numpy(samples_CT), sample_rate_hz)


def resampled_pieces(pieces: Iterable[torch.Tensor], rate_hz: int, wanted_hz: int) -> Iterator[torch.Tensor]:
    """Pieces (T,) of one channel at another rate, for sounds too long for `resampled`; the same to the bit.

    librosa hands a whole sound to soxr; this hands it over piece by piece.
    """
    if rate_hz == wanted_hz:
        yield from pieces
        return
    import soxr  # noqa: PLC0415  # only when a sound really has another rate

    stream = soxr.ResampleStream(rate_hz, wanted_hz, 1, dtype="float32", quality="HQ")
    came = given = 0
    for piece in pieces:
        came += piece.shape[0]
        made = torch.from_numpy(stream.resample_chunk(piece.numpy()))
        given += made.shape[0]
        yield made
    rest = torch.from_numpy(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    missing = math.ceil(came * wanted_hz / rate_hz) - given - rest.shape[0]
    yield F.pad(rest, (0, missing))  # soxr rounds the length, librosa fills up with silence


def speech_pieces(sound: Waveform) -> Iterator[torch.Tensor]:
    """Pieces (T,) of one channel at SPEECH_RATE_HZ: channels are mixed first, as librosa.load does."""
    mono = (piece_CT.float().mean(dim=0) for piece_CT in pieces_of(sound.samples_CT))
    return resampled_pieces(mono, sound.sample_rate_hz, SPEECH_RATE_HZ)


def padded_pieces(pieces: Iterable[torch.Tensor], video_frames: int) -> Iterator[torch.Tensor]:
    """Pieces (T,) at SPEECH_RATE_HZ, then silence up to so many video frames if they are shorter.

    The silence too comes in pieces: beside a speech of a day a voice of a minute is silent for 5 GB.
    """
    missing = video_frames * SAMPLES_PER_FRAME
    for piece_T in pieces:
        missing -= piece_T.shape[0]
        yield piece_T
    yield from (silent_CT[0] for silent_CT in silence(missing, channels=1))


def padded(sound: Waveform, num_samples: int) -> Waveform:
    """The sound, followed by silence up to `num_samples`, which is not less than it has."""
    missing = num_samples - sound.samples_CT.shape[1]
    assert missing >= 0, f"{sound.samples_CT.shape[1]} samples do not fit into {num_samples}"
    return Waveform(F.pad(sound.samples_CT, (0, missing)), sound.sample_rate_hz)


def with_silent_tail(speech: Waveform, video_frames: int) -> Waveform:
    """A voice at SPEECH_RATE_HZ, followed by silence up to exactly video_frames + TAIL_FRAMES frames."""
    assert speech.sample_rate_hz == SPEECH_RATE_HZ, "frames are counted in samples of the speech rate"
    return padded(speech, (video_frames + TAIL_FRAMES) * SAMPLES_PER_FRAME)
