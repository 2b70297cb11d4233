"""Cuts a long sound into parts at its pauses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from .mix_down import MixDown
from .pauses import FPS, Levels, choose_cuts, pause_middles
from .sound_end import told_samples, without_filling

FLOOR = 1e-10

Samples = npt.NDArray[np.float32]


class SoundError(Exception):
    """A sound cannot be read."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What became of a sound.

    Attributes:
        files: the parts in order; none if the sound stays whole.
        joined: the video that an earlier run of the batch has made of all parts already.
    """

    files: tuple[Path, ...] = ()
    joined: Path | None = None


def split_sound(sound: Path, folder: Path, part_s: float, joined: Path) -> Parts:
    """Write the parts of a sound as WAV into `folder`; nothing if it is short, or has no pauses.

    Raises:
        SoundError: it cannot be read.
        OSError: the parts cannot be written.
    """
    if joined.is_file():
        return Parts(joined=joined)
    try:
        levels_db = read_levels(sound)
        cuts = choose_cuts(pause_middles(levels_db), len(levels_db), round(part_s * FPS))
        if not cuts:
            return Parts()
        folder.mkdir(parents=True, exist_ok=True)
        return Parts(tuple(_write_parts(sound, folder, cuts)))
    except FFmpegError as error:
        raise SoundError(
            f"audio: {sound} cannot be read ({error}); give a sound that FFmpeg knows"
        ) from error


def read_levels(sound: Path) -> Levels:
    """The level of each video frame's sound, in dB of full scale; the last frame may be a short one."""
    levels: list[float] = []
    rest = np.zeros(0, np.float32)
    for rate_hz, samples_CT in _chunks(sound):
        mono = np.concatenate([rest, samples_CT.mean(axis=0)])
        per_frame = rate_hz // FPS
        whole = len(mono) // per_frame
        frames = mono[: whole * per_frame].astype(np.float64).reshape(whole, per_frame)
        levels += np.square(frames).mean(axis=1).tolist()
        rest = mono[whole * per_frame :]
    if len(rest):
        levels.append(float(np.square(rest.astype(np.float64)).mean()))
    return 10 * np.log10(np.maximum(levels, FLOOR))


def _write_parts(sound: Path, folder: Path, cuts: Sequence[int]) -> Iterator[Path]:
    """One file after the other; of the sound no more than a part is in memory."""
    chunks = _chunks(sound)
    rate_hz, held_CT = next(chunks)
    for number, (start, end) in enumerate(pairwise([0, *cuts, None])):
        wanted = None if end is None or start is None else (end - start) * (rate_hz // FPS)
        taken = [held_CT]
        count = held_CT.shape[1]
        while wanted is None or count < wanted:
            following = next(chunks, None)
            if following is None:
                break
            taken.append(following[1])
            count += following[1].shape[1]
        part_CT = np.concatenate(taken, axis=1)
        path = folder / f"p{number:03}.wav"
        _write_wav(path, part_CT[:, :wanted], rate_hz)
        held_CT = part_CT[:, part_CT.shape[1] if wanted is None else wanted :]
        yield path


def _chunks(sound: Path) -> Iterator[tuple[int, Samples]]:
    """Rate and samples (channels, samples) of a sound, piece by piece; mono or stereo."""
    with av.open(str(sound)) as container:
        if not container.streams.audio:
            raise SoundError(f"audio: {sound} holds no sound")
        stream = container.streams.audio[0]
        layout = "mono" if stream.channels == 1 else "stereo"
        # A rate that frames divide, so that a cut lies between two samples.
        rate_hz = stream.rate if stream.rate % FPS == 0 else 48_000
        resampler = MixDown(layout, rate_hz)
        pieces = (
            piece.to_ndarray().astype(np.float32, copy=False)
            for frame in chain(container.decode(stream), (None,))
            for piece in resampler.resample(frame)
        )
        for piece_CT in without_filling(pieces, told_samples(container, stream, rate_hz)):
            yield rate_hz, piece_CT


def _write_wav(path: Path, samples_CT: Samples, rate_hz: int) -> None:
    layout = "mono" if samples_CT.shape[0] == 1 else "stereo"
    interleaved = np.ascontiguousarray(samples_CT.T).reshape(1, -1)
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_f32le", rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
        frame.sample_rate = rate_hz
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
