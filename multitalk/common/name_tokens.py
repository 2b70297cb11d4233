"""What is between percent signs in a prefix: dates, times, sizes and values of nodes.

The words are those of ComfyUI: `%year%` and the like, which its own nodes replace when they save, and
`%date:yyyy-MM-dd%` and `%KSampler.seed%`, which its editor replaces, but for its own nodes alone. A word that
is none of them is refused: unchanged it would be in the names of files.

A run's folder has to be found again at another time, and when a widget has another value that does not
matter to the run. So its name is made without all that may change; sizes alone stay.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from .errors import InputError
from .safe_path import SEPARATOR, names_in, problem_of

MAX_TEMPLATE_CHARACTERS = 1000
"""Of a prefix as it is typed; a node's title may be longer than its value."""

TOKEN = re.compile("%([^%]+)%")
MARK = "\0"
"""In place of a token; it can be in no name."""

MARKED = re.compile(f"[-_. ]?{MARK}")
"""A token, with what sets it off from the rest."""

AROUND_TOKENS = " ._-"
DATE = "date:"
CLOCK = {"year": "yyyy", "month": "MM", "day": "dd", "hour": "hh", "minute": "mm", "second": "ss"}
"""The words for one part of the time, and how a date would be written that is this part alone."""

DATE_PARTS = ("yyyy", "yy", "MM", "M", "dd", "d", "hh", "h", "mm", "m", "ss", "s")
LETTERS = re.compile("|".join((*DATE_PARTS, "[A-Za-z]+")))
KNOWN = (
    "Known are %date:yyyy-MM-dd%, %year%, %month%, %day%, %hour%, %minute%, %second%, %width%, %height%, and "
    "the value of a node's widget, such as %EverTalkSampler.seed%. Use one of them, or one percent sign"
)
NAMELESS = "run"
"""A run's folder whose name is made of nothing but tokens."""

WidgetValue: TypeAlias = Callable[[str, str], str]
"""The value of a node's widget as a part of a name, by the node's name and its own. Raises NoValueError."""


class NoValueError(ValueError):
    """There is no such node or widget, or no value yet; says which."""


@dataclass(frozen=True, slots=True)
class TokenValues:
    """What tokens stand for.

    Attributes:
        moment: the time, as the clock on the wall shows it.
        width_px: of the video.
        height_px: of the video.
        widget: the value of a widget of the workflow.
    """

    moment: datetime
    width_px: int
    height_px: int
    widget: WidgetValue

    def of_size(self, word: str) -> str | None:
        """What a word for a size stands for; None for another word."""
        size_px = {"width": self.width_px, "height": self.height_px}.get(word)
        return None if size_px is None else str(size_px)


def expanded(template: str, values: TokenValues, socket: str = "filename_prefix") -> str:
    """A prefix with values in place of its tokens; whether it is a name is for `checked_prefix` to say.

    Raises:
        InputError: a token is unknown or has no value, or the prefix is too long.
    """
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        raise InputError(
            f"{socket}: {len(template)} characters, expected {MAX_TEMPLATE_CHARACTERS} at most with tokens"
        )
    return TOKEN.sub(lambda found: _value(found[1], values, socket), template)


def lasting(template: str, values: TokenValues) -> str:
    """The prefix of a run's folder: without tokens, and without what set them off, but for sizes.

    Args:
        template: a prefix that could be expanded.
        values: sizes are taken from them.
    """
    marked = TOKEN.sub(lambda found: values.of_size(found[1]) or MARK, template)
    *folders, name = (_without_tokens(part) for part in names_in(marked))
    return "/".join(part for part in (*folders, name or NAMELESS) if part)


def spaces_note(template: str, socket: str = "filename_prefix") -> tuple[str, ...]:
    """Says that spaces around the names of a prefix are left out; nothing where there are none."""
    parts = SEPARATOR.split(TOKEN.sub(MARK, template))
    note = f"{socket}: the spaces around a name in {template!r} are left out"
    return (note,) if any(part != part.strip(" ") for part in parts) else ()


def dated(form: str, moment: datetime) -> str:
    """A time in the letters of the host's editor: yyyy yy MM M dd d hh h mm m ss s; hours count to 23.

    Raises:
        NoValueError: another letter of the alphabet, which would be written unchanged.
    """

    def part(found: re.Match[str]) -> str:
        letters = found[0]
        if letters not in DATE_PARTS:
            raise NoValueError(f"{letters!r} is not a part of a date, which are {', '.join(DATE_PARTS)}")
        if letters[0] == "y":
            return f"{moment.year:04}"[-len(letters) :]
        clock = {"M": moment.month, "d": moment.day, "h": moment.hour, "m": moment.minute, "s": moment.second}
        return f"{clock[letters[0]]:0{len(letters)}}"

    return LETTERS.sub(part, form)


def _value(word: str, values: TokenValues, socket: str) -> str:
    node, _, widget = word.rpartition(".")
    try:
        if word.startswith(DATE) and word != DATE:
            return dated(word.removeprefix(DATE), values.moment)
        if word in CLOCK:
            return dated(CLOCK[word], values.moment)
        size = values.of_size(word)
        if size is not None:
            return size
        if node and widget:
            return values.widget(node, widget)
    except NoValueError as error:
        raise InputError(f"{socket}: %{word}% has no value: {error}. {KNOWN}") from error
    raise InputError(f"{socket}: %{word}% is unknown. {KNOWN}")


def _without_tokens(name: str) -> str:
    """Nothing where what is left is not a name: `con_%year%` is one, and `con` is a device."""
    without = MARKED.sub("", name)
    left = without.strip(AROUND_TOKENS)
    return name if without == name else "" if problem_of(left) else left
