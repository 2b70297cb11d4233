"""A folder whose disk fails: at one call, from one on, or for a while; or answers slowly.

Seen are the calls of `os` and `io.open` that name something below the folder or have it open, so pathlib's
and shutil's too, and those of PyAV that open a file there. What FFmpeg writes to a file that is open is not
seen: a small disk of its own (small_disk.py) is for that.
"""

import io
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest

WRITES = ("mkdir", "rmdir", "unlink", "remove", "replace", "rename", "link", "fsync", "utime")
READS = ("stat", "lstat", "scandir", "listdir", "readlink")
CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
MAKING = "wxa+"
"""Letters of a mode that makes or changes a file."""


@dataclass
class FailingDisk:
    """What the disk does; `calls` counts those that it has seen.

    Attributes:
        root: the folder.
        code: errno of what it raises; 0 for nothing.
        first: the first call that fails, from 1.
        times: how many fail.
        only_writes: reading goes on, as on a full or read-only disk.
        slow_s: how long each call takes.
    """

    root: Path
    code: int = 0
    first: int = 1
    times: int = 1_000_000
    only_writes: bool = True
    slow_s: float = 0.0
    calls: int = 0

    def meet(self, path: object) -> None:
        """A call that names this file; raises OSError if it is one of those that fail."""
        if not self._is_below(path):
            return
        self.calls += 1
        time.sleep(self.slow_s)
        if self.code and self.first <= self.calls < self.first + self.times:
            raise OSError(self.code, os.strerror(self.code), str(path))

    def _is_below(self, path: object) -> bool:
        if isinstance(path, int):
            try:
                path = _readlink(f"/proc/self/fd/{path}")
            except OSError:
                return False
        if not isinstance(path, str | os.PathLike):
            return False
        return os.fspath(path).startswith(str(self.root))


_readlink = os.readlink


@contextmanager
def failing(disk: FailingDisk) -> Generator[FailingDisk]:
    """The disk fails in the block."""

    def met(call: Callable[..., Any], is_write: Callable[..., bool]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            if is_write(*arguments, **options) or not disk.only_writes:
                disk.meet(arguments[0] if arguments else None)
            return call(*arguments, **options)

        return called

    def opens_to_write(_path: object, mode: str = "r", *_: Any, **__: Any) -> bool:
        return bool(set(mode) & set(MAKING))

    def changes(_path: object, flags: int, *_: object, **__: object) -> bool:
        return bool(flags & CHANGING)

    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(os, name, met(getattr(os, name), lambda *_, **__: True))
        for name in READS:
            patch.setattr(os, name, met(getattr(os, name), lambda *_, **__: False))
        patch.setattr(os, "open", met(os.open, changes))
        patch.setattr(io, "open", met(io.open, opens_to_write))
        patch.setattr(av, "open", met(av.open, opens_to_write))
        yield disk
