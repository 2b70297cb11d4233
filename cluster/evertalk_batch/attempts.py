"""What running jobs have done so far: a small file an attempt, written by its worker, read by everybody.

They outlive the worker, so that the windows it began are counted; they go when the job has its result.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .json_file import read_json, write_json

FILE = re.compile(r"(.+)\.(\d+)\.json")


@dataclass(slots=True)
class Attempt:
    """One attempt at a task.

    Attributes:
        key: of the task.
        number: counts from 1.
        worker: who does it, and where.
        window: the window that runs now, from 1; 0 before the first.
        windows: of the run; 0 while unknown.
        begun: windows that this attempt has begun.
        started_s: when, seconds since 1970.
    """

    key: str
    number: int
    worker: str
    started_s: float
    window: int = 0
    windows: int = 0
    begun: int = 0

    def write(self, folder: Path) -> None:
        """Tell everybody."""
        write_json(folder / f"{self.key}.{self.number}.json", asdict(self), durable=False)


def read_attempts(folder: Path) -> Iterator[Attempt]:
    """All attempts that are told of."""
    for path in folder.glob("*.json"):
        content = read_json(path)
        if content is not None and FILE.fullmatch(path.name):
            yield Attempt(**content)


def attempts_of(folder: Path, key: str) -> list[Attempt]:
    """The attempts at a task, by number."""
    return sorted((one for one in read_attempts(folder) if one.key == key), key=lambda one: one.number)


def forget_attempts(folder: Path, key: str) -> None:
    """Remove what was told of a task."""
    for path in folder.glob("*.json"):
        found = FILE.fullmatch(path.name)
        if found and found[1] == key:
            path.unlink(missing_ok=True)
