"""Who speaks when in one audio: `0:00-0:07 A; 0:07-0:12 B; 0:12-0:20 A+B`.

Where nobody is named, everybody is silent. Shape letters: C channels, T samples.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..common.time_text import pointed_error, read_time, skip_space
from ..common.types import FPS, Waveform

FADE_S = 0.01
"""Length of the fades at cuts, so that they do not click; short beside the shortest speech sound."""

SEPARATOR = re.compile(r"[;\n]")
NAME = re.compile(r"\w+")
DASHES = "-\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A stretch of the audio and its speakers.

    Attributes:
        start_s: where it begins, in seconds.
        end_s: where it ends, in seconds.
        speakers: indices of those who speak, increasing.
    """

    start_s: float
    end_s: float
    speakers: tuple[int, ...]


def parse_timeline(
    text: str, speaker_names: Sequence[str], duration_s: float, socket: str
) -> tuple[TimelineEntry, ...]:
    """Reads a timeline for an audio of `duration_s`; speakers are called by name, in any case.

    An end that is less than a video frame after the audio's is taken for the audio's.

    Raises:
        InputError: it is not a timeline, names an unknown speaker, leaves the audio, or says two things about
            one moment; the message begins with `socket` and points at the character.
    """
    entries: list[TimelineEntry] = []
    start = 0
    for match in [*SEPARATOR.finditer(text), None]:
        end = match.start() if match else len(text)
        at = skip_space(text[:end], start)
        if at < end or not (entries or match):  # blank pieces are fine, but for a blank timeline
            entry = _read_entry(text, at, end, speaker_names, socket)
            if entry.start_s >= duration_s or entry.end_s >= duration_s + 1 / FPS:
                problem = f"the audio ends at {duration_s:.2f}s; end the entry there"
                raise pointed_error(socket, problem, text, at)
            entry = replace(entry, end_s=min(entry.end_s, duration_s))
            _refuse_contradiction(entry, entries, text, at, socket)
            entries.append(entry)
        start = end + 1
    return tuple(entries)


def mute_outside(waveform: Waveform, entries: Sequence[TimelineEntry], speaker: int) -> Waveform:
    """One speaker's share of an audio: silence, with short fades, wherever the timeline does not name them.

    It is for the speech encoder; the sound of the video stays the audio itself.
    """
    length = waveform.samples_CT.shape[-1]
    rate = waveform.sample_rate_hz
    gain_T = torch.zeros(length)
    for start_s, end_s in _stretches(entries, speaker):
        start, end = round(start_s * rate), min(round(end_s * rate), length)
        fade = min(round(FADE_S * rate), (end - start) // 2)
        ramp = (torch.arange(fade) + 0.5) / max(fade, 1)
        gain_T[start:end] = 1
        if start > 0:
            gain_T[start : start + fade] = ramp
        if end < length:
            gain_T[end - fade : end] = ramp.flip(0)
    return replace(waveform, samples_CT=waveform.samples_CT * gain_T)


def _stretches(entries: Sequence[TimelineEntry], speaker: int) -> list[tuple[float, float]]:
    """The speaker's entries in order of time; touching ones become one, so that speech goes on."""
    stretches: list[tuple[float, float]] = []
    for entry in sorted(entries, key=lambda entry: entry.start_s):
        if speaker not in entry.speakers:
            continue
        if stretches and entry.start_s <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], entry.end_s))
        else:
            stretches.append((entry.start_s, entry.end_s))
    return stretches


def _read_entry(text: str, start: int, end: int, names: Sequence[str], socket: str) -> TimelineEntry:
    """Reads `start-end names` between two positions of the text."""
    piece = text[:end]
    start_s, position = read_time(piece, start, socket)
    position = skip_space(piece, position)
    if position == end or piece[position] not in DASHES:
        raise pointed_error(socket, "expected a dash and the time where the entry ends", text, position)
    end_at = skip_space(piece, position + 1)
    end_s, position = read_time(piece, end_at, socket)
    if end_s <= start_s:
        raise pointed_error(
            socket, "the entry ends before it begins; write the earlier time first", text, end_at
        )
    return TimelineEntry(start_s, end_s, _read_speakers(piece, position, text, names, socket))


def _read_speakers(
    piece: str, position: int, text: str, names: Sequence[str], socket: str
) -> tuple[int, ...]:
    """Reads `A`, `A+B`, ... up to the end of the piece; errors show the whole text."""
    known = [name.casefold() for name in names]
    speakers: set[int] = set()
    while True:
        position = skip_space(piece, position)
        match = NAME.match(piece, position)
        if match is None or match.group().casefold() not in known:
            found = f"{match.group()!r} is not a speaker" if match else "expected a speaker"
            raise pointed_error(socket, f"{found}; there are {', '.join(names)}", text, position)
        speakers.add(known.index(match.group().casefold()))
        position = skip_space(piece, match.end())
        if position == len(piece):
            return tuple(sorted(speakers))
        if piece[position] != "+":
            raise pointed_error(
                socket, "expected + and another speaker, or ; and the next entry", text, position
            )
        position += 1


def _refuse_contradiction(
    entry: TimelineEntry, before: Sequence[TimelineEntry], text: str, at: int, socket: str
) -> None:
    for number, other in enumerate(before, start=1):
        overlap = entry.start_s < other.end_s and other.start_s < entry.end_s
        if overlap and entry.speakers != other.speakers:
            problem = (
                f"this entry overlaps entry {number}, which names other speakers; write A+B where both speak"
            )
            raise pointed_error(socket, problem, text, at)
