"""What the driver sends to a worker, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .json_file import JsonObject


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that the server needs.

    Attributes:
        node, field: where its name goes.
        path: on the disk that all workers see.
        name: in the server's input folder. The video's file holds it, so it is the same whoever does the job.
    """

    node: str
    field: str
    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Task:
    """A run for a worker: a job, or a part of one.

    Attributes:
        job_id: the job.
        key: the job's id, for a part with its number.
        nodes: the workflow to queue.
        uploads: files to upload first.
        attempt: counts from 1; higher if workers were lost.
    """

    job_id: str
    key: str
    nodes: JsonObject
    uploads: tuple[Upload, ...]
    attempt: int = 1


class Ending(Enum):
    """How a task ended."""

    DONE = "done"
    FAILED = "failed"
    SERVER_LOST = "server lost"
    STOPPED = "stopped"
    DISK_FULL = "disk full"
    RUN_TAKEN = "run taken"
    """Another worker still writes this run: one that Ray believes dead."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a task ended on a worker.

    Attributes:
        ending: which way.
        path: the video, below the batch's folder.
        seconds: from its begin to its end on this worker.
        windows: of the run.
        error: a sentence.
        backend: of the attention that ran, None if no window was made or it was not told.
        peak_vram_bytes, peak_ram_bytes: the server's during the job, None if not measured.
        warnings: sentences of the run.
    """

    ending: Ending
    seconds: float = 0.0
    path: str | None = None
    windows: int | None = None
    error: str | None = None
    backend: str | None = None
    peak_vram_bytes: int | None = None
    peak_ram_bytes: int | None = None
    warnings: tuple[str, ...] = field(default_factory=tuple)


def uploads_of(
    nodes: Mapping[str, Any], files: Mapping[tuple[str, str], str], key: str
) -> tuple[Upload, ...]:
    """The uploads of a task; `files` are the paths by node and field. Writes their names into the nodes."""
    uploads: list[Upload] = []
    for (node, name), path in files.items():
        upload = Upload(node, name, Path(path), f"{key}_{node}{Path(path).suffix}")
        nodes[node]["inputs"][name] = upload.name
        uploads.append(upload)
    return tuple(uploads)
