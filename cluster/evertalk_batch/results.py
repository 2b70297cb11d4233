"""results.jsonl: one line a job that has ended. A line that stands is on the disk, and stands once."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .json_file import JsonObject

DONE = "done"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended.

    Attributes:
        id: of the job.
        status: done or failed.
        digest: of the job's values and workflow.
        path: the video, below the batch's folder.
        seconds: of the attempt that ended it.
        windows: of the video.
        windows_begun: over all attempts; more than `windows` by those that were lost with a worker.
        attempts: how often it was begun.
        worker: who ended it, and on which node.
        backend: of the attention that ran; None if the last attempt found all windows finished.
        peak_vram_bytes, peak_ram_bytes: of the last attempt, as told by the run; else measured from outside,
            None where that is not possible.
        warnings: sentences of the run.
        error: why it failed.
        log: the job's log, below the batch's folder.
    """

    id: str
    status: str
    digest: str
    path: str | None = None
    seconds: float = 0.0
    windows: int | None = None
    windows_begun: int = 0
    attempts: int = 1
    worker: str = ""
    backend: str | None = None
    peak_vram_bytes: int | None = None
    peak_ram_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    log: str = ""


_NAMES = {one.name for one in fields(Result)}


class ResultLog:
    """Appends to results.jsonl; only the driver, which holds the batch's lock, has one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _cut_torn_line(path)

    def append(self, results: Iterable[Result]) -> None:
        """Add lines, and wait until they are on the disk; all of them, or none.

        Raises:
            OSError: the disk is full or gone.
        """
        content = "".join(
            json.dumps(asdict(result), ensure_ascii=False) + "\n" for result in results
        ).encode()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            before = os.fstat(descriptor).st_size
            try:
                written = 0
                while written < len(content):
                    written += os.write(descriptor, content[written:])
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


def read_results(path: Path) -> Iterator[Result]:
    """All results, one at a time; a line that is being written is left out."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                content: JsonObject = json.loads(line)
                known: JsonObject = {name: value for name, value in content.items() if name in _NAMES}
                known["warnings"] = tuple(known["warnings"])
                yield Result(**known)


def drop_failed(path: Path) -> list[str]:
    """Take the failed jobs out of the file, so that the next run does them; gives their ids."""
    failed = [result.id for result in read_results(path) if result.status == FAILED]
    if failed:
        temporary = path.with_suffix(".part")
        temporary.unlink(missing_ok=True)
        temporary.touch()
        ResultLog(temporary).append(result for result in read_results(path) if result.status != FAILED)
        temporary.replace(path)
    return failed


def _cut_torn_line(path: Path) -> None:
    """A crash may have left half a line at the end: its job is done again, from its kept windows."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        keep = size
        while keep > 0:
            file.seek(keep - 1)
            if file.read(1) == b"\n":
                break
            keep -= 1
        if keep != size:
            file.truncate(keep)
