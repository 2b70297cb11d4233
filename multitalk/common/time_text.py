"""Times written by people (`7`, `12.5s`, `1:07`, `1:02:03.5`), and errors that point at the character."""

import re
from typing import NamedTuple

from .errors import InputError

TIME = r"(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,6}(?:\.\d+)?)s?"
"""Hours, minutes and seconds; the first two may be missing."""

TIME_PATTERN = re.compile(TIME)
SECONDS_PER_MINUTE = 60
SECONDS_PER_HOUR = 3600


SHOWN_EACH_SIDE = 100
"""Characters of a line that are shown before and after the one that is pointed at."""


def pointed_error(socket: str, problem: str, text: str, position: int) -> InputError:
    """An error whose message shows the line of `text` with a caret under the character at `position`.

    Of a long line the part around the caret is shown, with dots where it is cut.
    """
    line_start = text.rfind("\n", 0, position) + 1
    line, column = text[line_start:].split("\n", 1)[0], position - line_start
    first, end = max(0, column - SHOWN_EACH_SIDE), column + SHOWN_EACH_SIDE
    before, after = "..." if first else "", "..." if end < len(line) else ""
    shown, indent = f"{before}{line[first:end]}{after}", len(before) + column - first
    return InputError(f"{socket}: {problem} (character {position + 1}):\n  {shown}\n  {' ' * indent}^")


def skip_space(text: str, position: int) -> int:
    """The first position from `position` on that holds no white space, or the text's end."""
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def read_time(text: str, position: int, socket: str) -> tuple[float, int]:
    """Reads the time at `position`, after white space.

    Returns:
        seconds, and the position after it.

    Raises:
        InputError: there is no time, or it has 60 or more seconds or minutes beside a larger unit.
    """
    start = skip_space(text, position)
    match = TIME_PATTERN.match(text, start)
    if match is None:
        raise pointed_error(socket, "expected a time such as 12.5s or 0:12.5", text, start)
    hours, minutes, seconds = match.groups()
    if minutes is not None and float(seconds) >= SECONDS_PER_MINUTE:
        raise pointed_error(socket, f"{seconds} seconds beside minutes; write 0 to 59", text, match.start(3))
    if hours is not None and int(minutes or 0) >= SECONDS_PER_MINUTE:
        raise pointed_error(socket, f"{minutes} minutes beside hours; write 0 to 59", text, match.start(2))
    total_s = int(hours or 0) * SECONDS_PER_HOUR + int(minutes or 0) * SECONDS_PER_MINUTE + float(seconds)
    return total_s, match.end()


class TimedText(NamedTuple):
    """An entry `TIME: TEXT` of a longer text.

    Attributes:
        time_s: the time, in seconds.
        at: where in the longer text the entry begins, behind white space.
        text: what is behind the colon, without white space around it.
        position: where in the longer text that begins.
    """

    time_s: float
    at: int
    text: str
    position: int


def read_timed(text: str, start: int, end: int, socket: str, example: str = "") -> TimedText:
    """Reads the entry `TIME: TEXT` that lies between two positions; its text may be empty.

    Args:
        text: with all entries.
        start: where the entry begins, before white space.
        end: behind it.
        socket: that messages begin with.
        example: that is shown where the colon is missing.

    Raises:
        InputError: there is no time, or no colon behind it; points at the character.
    """
    entry = text[:end]
    time_s, position = read_time(entry, start, socket)
    position = skip_space(entry, position)
    if position == end or text[position] != ":":
        problem = "expected a colon after the time"
        if example:
            problem = f"expected a colon after the time, as in {example}"
        raise pointed_error(socket, problem, text, position)
    position = skip_space(entry, position + 1)
    return TimedText(time_s, skip_space(entry, start), text[position:end].strip(), position)
