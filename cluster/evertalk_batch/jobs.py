"""The job file: one JSON object a line, an id and values for the workflow's inputs.

It is read twice. First every line is checked, and all mistakes are told at once. Then, while the batch runs,
each line is read again when its turn comes: of a hundred thousand jobs only the places of their lines are in
memory.
"""

import hashlib
import json
import os
import re
from array import array
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import JobFileError
from .json_file import JsonObject
from .workflow import Kind, Value, Workflow, mistake

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""An id names files and folders."""

MAX_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """One line of the job file.

    Attributes:
        id: names its result, its log and its folder.
        values: for the workflow's inputs; files as absolute paths.
        digest: of the values and the workflow.
    """

    id: str
    values: Mapping[str, Value]
    digest: str


@dataclass
class JobBook:
    """A checked job file.

    Attributes:
        path: the file.
        workflow: that its jobs fill.
        order: positions of the lines in the file, jobs with equal models side by side.
    """

    path: Path
    workflow: Workflow
    order: "array[int]"
    _workflow_digest: str = field(init=False)

    def __post_init__(self) -> None:
        self._workflow_digest = _digest(self.workflow.nodes)

    def __len__(self) -> int:
        return len(self.order)

    def jobs(self) -> Iterator[Job]:
        """The jobs in the order in which they are done.

        Raises:
            JobFileError: the file was changed meanwhile.
        """
        with self.path.open("rb") as file:
            for position in self.order:
                file.seek(position)
                yield self._job(file.readline())

    def _job(self, line: bytes) -> Job:
        fields, mistakes = _parsed(line, self.workflow, self.path.parent)
        if mistakes:
            raise JobFileError(str(self.path), ["it was changed while the batch ran; start the batch again"])
        identity = str(fields.pop("id"))
        return Job(identity, fields, _digest({"workflow": self._workflow_digest, "values": fields}))


def check_jobs(path: Path, workflow: Workflow, finished: Container[str] = ()) -> JobBook:
    """Read and check a whole job file.

    Args:
        path: the file.
        workflow: that its jobs fill.
        finished: ids whose files are needed no more.

    Raises:
        JobFileError: it cannot be read, or holds mistakes.
    """
    checker = _Checker(workflow, path.parent, finished)
    try:
        with path.open("rb") as file:
            position = 0
            for number, line in enumerate(file, start=1):
                if line.strip():
                    checker.take(number, position, line)
                position += len(line)
    except OSError as error:
        raise JobFileError(str(path), [f"it cannot be read: {error.strerror}"]) from error
    if checker.problems:
        raise JobFileError(str(path), checker.listed())
    if not checker.positions:
        raise JobFileError(str(path), ["it holds no job; write one JSON object a line"])
    groups, positions = checker.groups, checker.positions
    by_group = sorted(range(len(positions)), key=groups.__getitem__)
    return JobBook(path, workflow, array("Q", (positions[index] for index in by_group)))


class _Checker:
    """Collects the lines' places and mistakes."""

    def __init__(self, workflow: Workflow, folder: Path, finished: Container[str]) -> None:
        self.problems: list[str] = []
        self.positions = array("Q")
        self.groups = array("I")
        self._workflow, self._folder, self._finished = workflow, folder, finished
        self._lines: dict[str, int] = {}
        self._group_numbers: dict[str, int] = {}
        self._missing: dict[str, str | None] = {}

    def take(self, number: int, position: int, line: bytes) -> None:
        """Check one line."""
        fields, mistakes = _parsed(line, self._workflow, self._folder)
        identity = fields.pop("id", None)
        if isinstance(identity, str):
            first = self._lines.setdefault(identity, number)
            if first != number:
                mistakes.append(
                    f"id {identity!r} is line {first}'s already; every job needs an id of its own"
                )
        for name, value in fields.items():
            if self._workflow.inputs[name].kind is Kind.FILE and identity not in self._finished:
                trouble = self._file_trouble(str(value))
                if trouble:
                    mistakes.append(f"{name}: {trouble}")
        self.problems += [f"line {number}: {one}" for one in mistakes]
        models = json.dumps(
            {name: fields[name] for name in sorted(fields) if self._workflow.is_model_input(name)}
        )
        self.positions.append(position)
        self.groups.append(self._group_numbers.setdefault(models, len(self._group_numbers)))

    def listed(self) -> list[str]:
        """The mistakes, of very many the first ones."""
        more = len(self.problems) - MAX_PROBLEMS
        return self.problems[:MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])

    def _file_trouble(self, path: str) -> str | None:
        if path not in self._missing:
            self._missing[path] = _file_trouble(Path(path))
        return self._missing[path]


def _file_trouble(path: Path) -> str | None:
    if not path.exists():
        return f"there is no file {path}"
    if not path.is_file():
        return f"{path} is no file"
    return None if os.access(path, os.R_OK) else f"{path} may not be read"


def _parsed(line: bytes, workflow: Workflow, folder: Path) -> tuple[JsonObject, list[str]]:
    """A line's id and its good values, files as absolute paths; and what is wrong with the others."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {}, [f"it is no JSON: {error}"]
    if not isinstance(content, dict):
        return {}, ['expected a JSON object, such as {"id": "clip-1", "picture": "a.png"}']
    fields: JsonObject = {}
    mistakes: list[str] = []
    identity = content.pop("id", None)
    if isinstance(identity, str) and ID.fullmatch(identity):
        fields["id"] = identity
    else:
        mistakes.append(
            f"id is {json.dumps(identity)}, expected 1 to 100 letters, digits, dots, hyphens or underscores "
            "that begin with a letter or digit"
        )
    for name, value in content.items():
        one = workflow.inputs.get(name)
        trouble = f"is no input of the workflow; {_known(workflow)}" if one is None else mistake(one, value)
        if trouble:
            mistakes.append(f"{name!r} {trouble}")
        elif one is not None:
            fields[name] = os.path.abspath(folder / value) if one.kind is Kind.FILE else value  # noqa: PTH100
    return fields, mistakes


def _known(workflow: Workflow) -> str:
    names = ", ".join(workflow.friendly_names())
    return f"known are id, {names} and NODE.FIELD (evertalk-batch inputs lists them)"


def _digest(content: JsonObject) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
