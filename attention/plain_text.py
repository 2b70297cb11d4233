"""Texts as every log, socket and browser takes them.

A name, a prompt or a workflow may hold what cannot be encoded (an unpaired surrogate, which JSON can spell),
what moves a terminal's cursor, what nobody sees, or megabytes. ComfyUI's worker thread ends when it cannot
write the message of an error, and every later job waits; so what a person is told goes through here first.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch  # not imported: the converter's tool runs with any Python

MAX_CHARS = 2000
"""Of a message; the middle of longer ones is left out."""

_CONTROL = "\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
"""Control characters, and halves of surrogate pairs."""

_TURNING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""What turns the direction of the text behind it."""

_UNSEEN = "\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\ufffb\ufdd0-\ufdef" + "".join(
    chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
)
"""Characters that show nothing where a name holds them, and code points that are no characters."""

_UNSAFE = re.compile(
    # A line break stays where an indented line follows: the pack's own, which point at a character.
    f"\n(?!  )|[{_CONTROL}{_TURNING}{_UNSEEN}]"
)


def is_encodable(text: str) -> bool:
    """Whether a text can be written to a file or sent: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(text: str, max_chars: int = MAX_CHARS) -> str:
    r"""A text of at most `max_chars` characters that can be encoded, logged and shown.

    What cannot is spelled as in Python (`\ud800`, `\x1b`); a text without such is returned as it is.
    """
    # Cut first: a text of megabytes is not searched.
    shown = _UNSAFE.sub(_spelled, _shortened(text, max_chars))
    return _shortened(shown, max_chars)


def name_of_dtype(dtype: "torch.dtype") -> str:
    """A precision as people write it: `bfloat16`, without torch's prefix."""
    return str(dtype).removeprefix("torch.")


def _spelled(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")


def _shortened(text: str, max_chars: int) -> str:
    if len(text) <= max_chars:
        return text
    left_out = f" [... {len(text):,} characters ...] "
    kept = max(0, max_chars - len(left_out))
    head = kept - kept // 3
    return f"{text[:head]}{left_out}{text[len(text) - (kept - head) :]}"
