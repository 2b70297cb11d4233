"""Opens files that a stranger may have made: plain ones alone, and without waiting for anybody.

Opening a pipe waits for its other end, and a device may never end; reading either cannot be interrupted. So a
file is opened without waiting, and looked at by its handle before a byte is read.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""Windows has neither pipes in folders nor these two flags."""


class NotPlainFileError(OSError):
    """Something that is not a plain file has the name of one."""


def kind_of(mode: int) -> str:
    """What a file of this mode (st_mode) is, in words; nothing for a plain file."""
    if stat.S_ISREG(mode):
        return ""
    return next((name for is_kind, name in KINDS if is_kind(mode)), "a special file")


def open_plain(path: Path, *, follow: bool = True) -> BinaryIO:
    """The plain file at `path`, open for reading; the caller closes it.

    Args:
        path: the file.
        follow: a link to a plain file counts as one.

    Raises:
        NotPlainFileError: it is a folder, a pipe, a device, or a link that is not to be followed.
        OSError: it is not there, or may not be read.
    """
    # Before opening too: opening a device can do things, as a tape that winds back.
    _check(path, (path.stat() if follow else path.lstat()).st_mode)
    descriptor = os.open(path, os.O_RDONLY | _WITHOUT_WAITING | (0 if follow else _NO_LINK))
    try:
        _check(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path: Path, max_bytes: int, *, follow: bool = True) -> bytes:
    """The bytes of a plain file, `max_bytes` of them and one more at most; see open_plain."""
    with open_plain(path, follow=follow) as file:
        return file.read(max_bytes + 1)


def _check(path: Path, mode: int) -> None:
    kind = kind_of(mode)
    if kind:
        raise NotPlainFileError(errno.EINVAL, f"it is {kind}, not a plain file", str(path))
