r"""Prompts and start images over time: `0s: she smiles; 12.5s: she looks away; 1:05: she waves`.

Entries are separated by a semicolon, or by a new line that begins with a time. A semicolon inside a prompt is
written `\;`.
"""

import re
from dataclasses import dataclass

from ...attention.plain_text import plain
from ..common.time_text import TIME, pointed_error, read_timed

MAX_ENTRY_CHARACTERS = 60
"""Of an entry that a message repeats."""

SEPARATOR = re.compile(rf"(?<!\\);\s*|\n\s*(?={TIME}\s*:)")


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """What holds from a time on.

    Attributes:
        start_s: from when, in seconds of the video.
        text: the prompt, or whatever else is scheduled.
        position: where the text is in the schedule, to point at it.
    """

    start_s: float
    text: str
    position: int


def parse_schedule(text: str, socket: str) -> tuple[ScheduleEntry, ...]:
    """Reads a schedule; the first entry starts at 0 and starts increase.

    Raises:
        InputError: it is not a schedule; the message begins with `socket` and points at the character.
    """
    entries: list[ScheduleEntry] = []
    for start, end in _pieces(text):
        entry = read_timed(text, start, end, socket)
        if not entry.text:
            raise pointed_error(socket, "the entry has no text", text, entry.position)
        if not entries and entry.time_s != 0:
            raise pointed_error(socket, "the first entry must start at 0s", text, entry.at)
        if entries and entry.time_s <= entries[-1].start_s:
            problem = f"starts must increase; the entry before starts at {entries[-1].start_s:g}s"
            raise pointed_error(socket, problem, text, entry.at)
        entries.append(ScheduleEntry(entry.time_s, entry.text.replace(r"\;", ";"), entry.position))
    return tuple(entries)


def parse_image_schedule(text: str, num_images: int, socket: str) -> tuple[tuple[float, int], ...]:
    """Reads a schedule of pictures by number, `0s: 1; 12.5s: 2`.

    Returns:
        start in seconds and index of the picture, counted from 0, for each entry.

    Raises:
        InputError: as `parse_schedule`, or an entry is not the number of one of the `num_images` pictures.
    """
    pictures: list[tuple[float, int]] = []
    for entry in parse_schedule(text, socket):
        number = int(entry.text) if re.fullmatch(r"[0-9]{1,9}", entry.text) else 0
        if not 1 <= number <= num_images:
            shown = plain(entry.text, MAX_ENTRY_CHARACTERS)
            problem = f"{shown!r} is not a picture; write its number, 1 to {num_images}"
            raise pointed_error(socket, problem, text, entry.position)
        pictures.append((entry.start_s, number - 1))
    return tuple(pictures)


def _pieces(text: str) -> list[tuple[int, int]]:
    """Start and end of each entry; blank ones at the end (a closing semicolon) are left out."""
    cuts = [match.span() for match in SEPARATOR.finditer(text)]
    starts = [0, *(end for _, end in cuts)]
    ends = [*(start for start, _ in cuts), len(text)]
    pieces = list(zip(starts, ends, strict=True))
    while len(pieces) > 1 and not text[slice(*pieces[-1])].strip():
        pieces.pop()
    return pieces
