"""Puts the videos of a job's parts behind one another. No picture is encoded again, the sound once."""

import os
import shutil
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from .mix_down import MixDown
from .pauses import FPS

MP4_OPTIONS = {"movflags": "+faststart", "fflags": "bitexact"}
TICK = Fraction(1, FPS)
MAX_REORDER = 2
"""Frames that a packet may be decoded ahead of its place, as in EverTalk's own videos."""

SOUND_BITS_PER_S = 192_000
SOUND_RATES_HZ = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Rates that both AAC and the parts know; another one becomes the last of them."""


class JoinError(Exception):
    """Parts do not fit together."""


def join_videos(parts: Sequence[Path], sound: Path, joined: Path, leftovers: Sequence[Path]) -> Path:
    """Make `joined` of the parts' pictures and the whole sound; then remove the folders `leftovers`.

    The file appears when it is whole.

    Raises:
        JoinError: the parts differ in size or encoding.
        OSError: it cannot be written (FFmpeg's errors are such).
    """
    _check_alike(parts)
    temporary = joined.with_name(f".part-{joined.name}")
    try:
        _write(temporary, parts, sound)
        descriptor = os.open(temporary, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        temporary.replace(joined)
    finally:
        temporary.unlink(missing_ok=True)
    for folder in leftovers:
        shutil.rmtree(folder, ignore_errors=True)
    return joined


def _write(path: Path, parts: Sequence[Path], sound: Path) -> None:
    with av.open(str(path), "w", format="mp4", options=MP4_OPTIONS) as out:
        with av.open(str(parts[0])) as first:
            stream = out.add_stream_from_template(first.streams.video[0])
        with av.open(str(sound)) as source:
            track = _Track(out, source)
            for packet in _retimed(parts):
                packet.stream = stream
                out.mux(packet)
                track.follow(float((packet.dts or 0) * TICK))
            track.finish()


def _check_alike(parts: Sequence[Path]) -> None:
    found: list[tuple[int, int, str, bytes | None]] = []
    for part in parts:
        with av.open(str(part)) as container:
            video = container.streams.video[0].codec_context
            found.append((video.width, video.height, video.name, video.extradata))
    for number, (one, other) in enumerate(pairwise(found), start=1):
        if one != other:
            raise JoinError(
                f"part {number + 1} is {other[0]}x{other[1]} {other[2]}, "
                f"part {number} is {one[0]}x{one[1]} {one[2]}, "
                "or they were encoded differently; run the job without --split-s"
            )


def _retimed(parts: Sequence[Path]) -> "Iterator[Packet[VideoStream]]":
    """All packets with the times of one long video."""
    decoded = shown = 0
    for part in parts:
        with av.open(str(part)) as container:
            count = 0
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is None:
                    continue
                packet.pts = shown + round(packet.pts * packet.time_base / TICK)
                packet.dts = decoded - MAX_REORDER
                packet.duration = 1
                packet.time_base = TICK
                decoded += 1
                count += 1
                yield packet
            shown += count


class _Track:
    """The whole sound, encoded beside the pictures so that both lie close together in the file."""

    def __init__(self, out: OutputContainer, source: InputContainer) -> None:
        self._out = out
        stream = source.streams.audio[0]
        layout = "mono" if stream.channels == 1 else "stereo"
        rate_hz = stream.rate if stream.rate in SOUND_RATES_HZ else SOUND_RATES_HZ[-1]
        self._encoder = out.add_stream("aac", rate=rate_hz, layout=layout, bit_rate=SOUND_BITS_PER_S)
        self._resampler = MixDown(layout, rate_hz)
        self._frames = source.decode(stream)
        self._rate_hz, self._samples = rate_hz, 0
        self._is_open = True

    def follow(self, until_s: float) -> None:
        """Encode up to this time."""
        while self._is_open and self._samples < until_s * self._rate_hz:
            self._take()

    def finish(self) -> None:
        """Encode the rest."""
        while self._is_open:
            self._take()
        self._out.mux(self._encoder.encode(None))

    def _take(self) -> None:
        frame = next(self._frames, None)
        self._is_open = frame is not None
        if frame is not None:
            frame.pts = None
        for piece in self._resampler.resample(frame):
            piece.pts = self._samples
            self._samples += piece.samples
            self._out.mux(self._encoder.encode(piece))
