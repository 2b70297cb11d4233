"""Decoded sound block by block, as long as its file says.

Without what fills up an encoder's last frame: AAC comes in frames of 1024 samples, and an MP4 file notes how
many of the last one are sound. FFmpeg's libraries cut there since PyAV 19; before, 0.8 s at 16 kHz come back
as 13,312 samples instead of 12,800, and a video of them would be a frame longer.

With silence in place of what cannot be decoded, as players do, so that what follows stays in time. Files
without times of their own (.mp3, .aac, .ac3) do not tell how much a damaged place took: what is not even
found as a packet is left out there.

Shape letters: C channels, T samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
from av import AudioFrame, Packet
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from .mix_down import MixDown

JUMP_S = 0.005
"""A jump of more than this from one frame to the next is a gap, which is filled after a damaged packet.
Smaller ones are times that are rounded to ms, or a recorder's clock, whose sound has no gaps."""

GAP_S = 0.04
"""Elsewhere a gap is filled once more than this is missing in all, a frame of video: where times are those at
which packets came, other packets make up for each jump."""

LONGEST_GAP_S = 600.0
"""What is longer is not damage, but a clock that was set."""

MAX_FILLED_S = 3600.0
"""Of all gaps of a file together, beside its share. A few bytes claim each gap."""

FILLED_SHARE = 4
"""Of gaps to a second of sound: recorders of calls write nothing while a person is silent."""

SILENCE_SAMPLES = 1 << 16
"""Silence is made in blocks of so many samples."""

SHOWN_GAPS = 3
"""How many gaps a note names."""


class SoundGapsError(ValueError):
    """More is missing of a sound than is filled with silence."""


class Block(NamedTuple):
    """Samples (C, T), and when they begin by the file's clock in seconds; None: it does not say."""

    time_s: float | None
    samples_CT: torch.Tensor


class Gap(NamedTuple):
    """A stretch of a file that was filled with silence, in seconds of its clock."""

    start_s: float
    end_s: float


@dataclass(slots=True)
class _Clock:
    """Where the sound is, by the file's clock.

    Attributes:
        gaps: those that were filled.
        now_s: the end of what was given, by its number of samples; None: not known.
        due_s: when the next frame should begin, by the time of the last.
        bad_from_s: when the packets began that could not be decoded since the last good frame; None: none.
        bad_until_s: when they end.
        filled_s: how much of the gaps was filled in all.
        given_s: how much sound was given in all.
    """

    gaps: list[Gap]
    now_s: float | None = None
    due_s: float | None = None
    bad_from_s: float | None = None
    bad_until_s: float | None = None
    filled_s: float = 0.0
    given_s: float = 0.0

    def fail(self, start_s: float, end_s: float) -> None:
        """Note what could not be decoded."""
        self.bad_from_s = start_s if self.bad_from_s is None else self.bad_from_s
        self.bad_until_s = end_s

    def missing_s(self, time_s: float | None) -> float:
        """How much is missing up to a time, where the next frame begins; from then on it counts as given."""
        # Before the first good frame only packets that failed are missing; a late beginning is none.
        now_s = self.now_s if self.now_s is not None else self.bad_from_s
        least_s = GAP_S if self.bad_from_s is None else JUMP_S
        self.bad_from_s = self.bad_until_s = None
        if time_s is None:
            return 0.0
        start_s = time_s if now_s is None else max(0.0, now_s)
        missing_s = time_s - start_s
        jump_s = missing_s if self.due_s is None else time_s - self.due_s
        if abs(missing_s) >= LONGEST_GAP_S or self.now_s is None:
            self.now_s = time_s
        if missing_s <= least_s or jump_s <= JUMP_S or missing_s >= LONGEST_GAP_S:
            return 0.0
        self.filled_s += missing_s
        most_s = MAX_FILLED_S + FILLED_SHARE * self.given_s
        if self.filled_s > most_s:
            raise SoundGapsError(f"more than {most_s / 60:.0f} minutes of it are missing")
        self.gaps.append(Gap(start_s, time_s))
        self.now_s = time_s
        return missing_s

    def give(self, frame: AudioFrame) -> None:
        """A frame was given."""
        length_s = frame.samples / frame.sample_rate
        self.given_s += length_s
        self.due_s = None if frame.time is None else frame.time + length_s
        self.now_s = self.due_s if self.now_s is None else self.now_s + length_s


def sound_blocks(
    container: InputContainer, stream: AudioStream, mixer: MixDown, gaps: list[Gap]
) -> Iterator[Block]:
    """The decoded sound of a stream, gaps in it filled with silence.

    Args:
        container: where it lies.
        stream: the sound track.
        mixer: gives its samples in the layout that is wanted, at the stream's own rate.
        gaps: those that were filled are added.

    Raises:
        FFmpegError: nothing of it can be decoded.
        SoundGapsError: more than MAX_FILLED_S and FILLED_SHARE of the sound are missing.
    """
    clock = _Clock(gaps)
    held: Block | None = None
    frame: AudioFrame | None = None
    last: Packet[AudioStream] | None = None
    failure: FFmpegError | None = None
    for packet, came in _decoded(container, stream):
        last = packet if packet is not None and packet.size else last  # an empty one ends the decoder
        if isinstance(came, FFmpegError):
            failure = failure or came
            clock.fail(*_span(packet, stream))
            last = None
            continue
        for frame in came:
            if held is not None:
                yield held
            begin_s, missing_s = frame.time, clock.missing_s(frame.time)
            # At the same rate a mixer holds nothing back.
            blocks = [torch.from_numpy(block.to_ndarray()) for block in mixer.resample(frame)]
            held = Block(begin_s, torch.cat(blocks, dim=1))
            yield from _silence(begin_s, missing_s, held, frame.sample_rate)
            clock.give(frame)
    if held is None or frame is None:
        if failure is not None:
            raise failure
        return
    in_mp4 = last is not None and "mp4" in container.format.name
    yield Block(held.time_s, held.samples_CT[:, : own_samples(frame, last) if in_mp4 and last else None])
    end_s = clock.bad_until_s
    yield from _silence(end_s, clock.missing_s(end_s), held, frame.sample_rate)


def _decoded(
    container: InputContainer, stream: AudioStream
) -> "Iterator[tuple[Packet[AudioStream] | None, list[AudioFrame] | FFmpegError]]":
    """Each packet with its frames, or with why it has none; the last without a packet if reading fails."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError as error:
            yield None, error
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except FFmpegError as error:
            yield packet, error
        else:
            yield packet, frames


def _span(packet: "Packet[AudioStream] | None", stream: AudioStream) -> tuple[float, float]:
    """When a packet begins and ends; for no packet, the track's end. 0 where the file does not say."""
    if packet is None:
        base = stream.time_base or Fraction(0)
        end_s = float(((stream.start_time or 0) + (stream.duration or 0)) * base)
        return end_s, end_s
    start = (packet.dts if packet.pts is None else packet.pts) or 0
    return float(start * packet.time_base), float((start + (packet.duration or 0)) * packet.time_base)


def silence(samples: int, channels: int) -> Iterator[torch.Tensor]:
    """Blocks of silence (C, T), so many samples in all; they share their memory."""
    block_CT = torch.zeros(channels, min(SILENCE_SAMPLES, max(0, samples)), dtype=torch.float32)
    for start in range(0, samples, SILENCE_SAMPLES):
        yield block_CT[:, : samples - start]


def _silence(end_s: float | None, seconds: float, like: Block, rate_hz: int) -> Iterator[Block]:
    """Blocks of silence that end at a time."""
    left = round(seconds * rate_hz)
    for block_CT in silence(left, like.samples_CT.shape[0]):
        yield Block(None if end_s is None else end_s - left / rate_hz, block_CT)
        left -= block_CT.shape[1]


def gap_notes(gaps: Sequence[Gap], socket: str, name: str) -> tuple[str, ...]:
    """Says where a file's sound was filled with silence."""
    if not gaps:
        return ()
    places = ", ".join(f"{gap.start_s:.2f} to {gap.end_s:.2f} s" for gap in gaps[:SHOWN_GAPS])
    more = f" and {len(gaps) - SHOWN_GAPS} more places" if len(gaps) > SHOWN_GAPS else ""
    note = (
        f"{socket}: the sound of {name} is damaged or missing at {places}{more}; there is silence instead. "
        "If words are lost, choose an undamaged copy."
    )
    return (note,)


def own_samples(frame: AudioFrame, packet: "Packet[AudioStream]") -> int:
    """How many samples of a track's last frame are sound: all, unless its packet says less."""
    own = round(Fraction(packet.duration or 0) * packet.time_base * frame.sample_rate)
    counts_each = packet.time_base * frame.sample_rate <= 1
    return own if counts_each and 0 < own < frame.samples else frame.samples
