"""A worker's folder on its own machine: uploads, temporary files, the server's log.

A worker that was killed leaves its folder behind. Each holds a lock while it lives, which the system takes
back, so that the next worker on the machine can tell which folders nobody needs.
"""

import shutil
import tempfile
from pathlib import Path

from .file_lock import try_lock

NAME = "evertalk-batch-"
ALIVE = "alive"


class Scratch:
    """A folder that is removed by `close`, or after this process by the next one's `Scratch`."""

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        for old in parent.glob(f"{NAME}*"):
            _remove_if_left(old)
        self.folder = Path(tempfile.mkdtemp(prefix=NAME))
        self._alive = (self.folder / ALIVE).open("w", encoding="utf-8")
        try_lock(self._alive)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._alive.close()


def _remove_if_left(folder: Path) -> None:
    try:
        with (folder / ALIVE).open("r+", encoding="utf-8") as file:
            if try_lock(file):
                shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # being made at this moment, or another user's
