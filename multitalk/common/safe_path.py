r"""File name prefixes from a prompt: a name within a folder, or an error; on every system by the same rules.

A prefix that one system takes for a name is a way out on another (`C:x`, `\\server\share`, `NUL`), and
workflows travel. So what any of them could misread is refused everywhere, and a backslash, which parts names
on Windows, does so on every system.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ...attention.plain_text import is_encodable
from .errors import InputError

MAX_PREFIX_CHARACTERS = 200
"""The names made of a prefix are longer by 40 at most, and a name may have 255 bytes."""

MAX_NAME_BYTES = 200

RESERVED_NAMES = re.compile(
    r"(?:CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]|CONIN\$|CONOUT\$)(?: *\..*)?", re.IGNORECASE
)
"""Names that Windows gives to devices, in any folder and with any suffix."""

FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
"""What Windows allows in no name; a colon is also its drive and its hidden streams, NUL ends a path."""

SEPARATOR = re.compile(r"[/\\]")
"""Between the names of a prefix."""

EXAMPLE = "Use a name or a subfolder and a name, like EverTalk/talk."


@dataclass(frozen=True, slots=True)
class Prefix:
    """A checked prefix.

    Attributes:
        folder: existing or yet to be made, inside the root.
        name: what file names in it begin with.
    """

    folder: Path
    name: str


def checked_prefix(prefix: str, root: Path, socket: str = "filename_prefix") -> Prefix:
    """Where files of a prefix go; nothing is made.

    Args:
        prefix: names and slashes of either kind; spaces around a name are not part of it.
        root: the folder that must not be left; it exists.
        socket: what messages call the prefix.

    Raises:
        InputError: the prefix is not a name, or leads out of the root, by itself or through a link.
    """
    parts = checked_parts(prefix, socket)
    real_root = root.resolve()
    folder = real_root.joinpath(*parts[:-1])
    try:
        real_folder = folder.resolve()
    except RuntimeError as error:  # links that point at each other
        raise InputError(f"{socket}: {prefix!r} cannot be followed ({error}). {EXAMPLE}") from error
    if not real_folder.is_relative_to(real_root):
        raise InputError(
            f"{socket}: {prefix!r} leads through a link to {real_folder}, out of the output folder "
            f"{real_root}. {EXAMPLE}"
        )
    for part in (real_folder, *real_folder.parents):
        if part.exists() and not part.is_dir():
            raise InputError(
                f"{socket}: {prefix!r} leads through {part}, which is a file where a folder has to be. Move "
                "that file away, or use another name"
            )
    return Prefix(real_folder, parts[-1])


def checked_parts(prefix: str, socket: str = "filename_prefix") -> tuple[str, ...]:
    """The names in a prefix, each of them harmless on every system; the last one is the file's.

    Raises:
        InputError: says which part is wrong.
    """
    if not prefix.strip():
        raise InputError(f"{socket}: {prefix!r} is not a file name. {EXAMPLE}")
    if len(prefix) > MAX_PREFIX_CHARACTERS:
        raise InputError(
            f"{socket}: {len(prefix)} characters, expected {MAX_PREFIX_CHARACTERS} at most. {EXAMPLE}"
        )
    names = names_in(prefix)
    if len(names) > 1 and not names[0]:
        raise InputError(
            f"{socket}: {prefix!r} leads out of the output folder: it begins at the root. {EXAMPLE}"
        )
    parts = tuple(name for name in names if name not in ("", "."))
    if not names[-1] or not parts:
        raise InputError(f"{socket}: {prefix!r} ends in a folder, expected a file's name. {EXAMPLE}")
    for part in parts:
        problem = problem_of(part)
        if problem:
            where = "" if part == prefix else f" (in {part!r})"
            raise InputError(f"{socket}: {prefix!r} {problem}{where}. {EXAMPLE}")
    return parts


def names_in(prefix: str) -> list[str]:
    """What is between the separators, without the spaces around it; none of it is checked."""
    return [name.strip(" ") for name in SEPARATOR.split(prefix)]


def as_name(text: str) -> str:
    """A text as a part of a name: what no name may hold becomes `_`, as the host's editor does it."""
    return FORBIDDEN.sub("_", text).replace("/", "_")


def problem_of(name: str) -> str:
    """What is wrong with one name of a path, or nothing."""
    found = FORBIDDEN.search(name)
    if name == "..":
        return "leads out of the output folder"
    if found is not None:
        return f"has the character {found.group()!r}, which means something else in paths of some systems"
    if RESERVED_NAMES.fullmatch(name.rstrip(" .")):
        return "is the name of a device on Windows"
    if name.endswith((" ", ".")):
        return "ends in a space or a full stop, which Windows drops"
    if not is_encodable(name):
        return "has half a character (a lone surrogate)"
    return f"is longer than {MAX_NAME_BYTES} bytes" if len(name.encode()) > MAX_NAME_BYTES else ""
