"""What a power cut may leave of a folder: a run's calls are recorded, and every state after them is built.

POSIX promises little without fsync: a file's unsynced content may be lost, torn or whole, and a change of a
folder (a new name, a rename, a deletion) that was not followed by an fsync of the folder may be there or not,
whatever came before or after it. A rename is never half there.

Seen are the calls of `os`, which pathlib and shutil use as well. What a library writes on its own (FFmpeg's
files) is found by looking through the folder at every call.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

ROOT = ""
"""The recorded folder itself, of which all others are named relatively."""

Names = dict[str, int]
"""What a folder holds: a node number by name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of folders, whole or not there.

    Attributes:
        entries: (folder's node, name, node that it names from then on or None).
    """

    entries: tuple[tuple[int, str, int | None], ...]


@dataclass
class Node:
    """A file or folder, whatever its names are.

    Attributes:
        is_folder: or a file.
        descriptor: kept open, so that its number is not given to another.
        content: of a file, as it is now.
        safe: what is surely on the disk: a file's content; None for a file that was never synced.
        names: what a folder holds now.
        safe_names: what it surely holds.
    """

    is_folder: bool
    descriptor: int
    content: bytes = b""
    safe: bytes | None = None
    names: Names = field(default_factory=Names)
    safe_names: Names = field(default_factory=Names)


@dataclass(frozen=True, slots=True)
class Moment:
    """What was on the disk, surely and perhaps, between two calls.

    Attributes:
        call: the last one.
        said: what was told the user by then.
        root: the recorded folder's node.
        folders: by node: what it surely holds.
        pending: changes that may be there or not, in order; with the folders in which each is not safe yet.
        files: by node: what it surely holds (None: nothing is sure), and what it holds now.
    """

    call: str
    said: tuple[str, ...]
    root: int
    folders: dict[int, Names]
    pending: tuple[tuple[Change, frozenset[int]], ...]
    files: dict[int, tuple[bytes | None, bytes]]


class Recorder:
    """Context manager: records what happens below a folder; `moments` has a moment for each call."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self._patch = root.resolve(), patch
        self.moments: list[Moment] = []
        self._nodes: dict[int, Node] = {}
        self._pending: list[tuple[Change, set[int]]] = []
        self._said: list[str] = []
        self._mutex = threading.RLock()

    def __enter__(self) -> "Recorder":
        self._root = self._seen(self.root)
        self._look()
        for node in self._nodes.values():  # what was there before has long been written
            node.safe, node.safe_names = node.content, dict(node.names)
        self._pending.clear()
        for name in ("mkdir", "rmdir", "unlink", "remove", "replace", "rename", "link"):
            self._patch.setattr(os, name, self._recorded(name, getattr(os, name)))
        self._patch.setattr(os, "fsync", self._syncing(os.fsync))
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        self._look()
        self._keep("the end")
        for node in self._nodes.values():
            os.close(node.descriptor)

    def say(self, told: str) -> None:
        """The user is told something that must hold from here on."""
        with self._mutex:
            self._look()
            self._said.append(told)
            self._keep(f"said {told}")

    def _recorded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> Any:
            with self._mutex:
                self._look()
                self._keep(f"before {name}")
                try:
                    return call(*arguments, **options)
                finally:
                    paths = [os.fsdecode(one) for one in arguments if isinstance(one, str | os.PathLike)]
                    self._look(is_one=True)
                    self._keep(f"{name} {Path(paths[-1]).name}")

        return recorded

    def _syncing(self, call: Callable[[int], None]) -> Callable[[int], None]:
        def synced(descriptor: int) -> None:
            with self._mutex:
                self._look()
                self._keep("before fsync")
                call(descriptor)
                node = self._nodes.get(os.fstat(descriptor).st_ino)
                if node is not None:
                    self._make_safe(os.fstat(descriptor).st_ino, node)
                self._keep("fsync")

        return synced

    def _make_safe(self, number: int, node: Node) -> None:
        node.safe, node.safe_names = node.content, dict(node.names)
        for _, folders in self._pending:
            folders.discard(number)
        self._pending = [(change, folders) for change, folders in self._pending if folders]

    def _seen(self, path: Path) -> int:
        number = path.lstat().st_ino
        if number not in self._nodes:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            self._nodes[number] = Node(stat.S_ISDIR(path.lstat().st_mode), descriptor)
        return number

    def _look(self, *, is_one: bool = False) -> None:
        """Find what has changed; all of it is one change if one call has made it."""
        found: list[tuple[int, str, int | None]] = []
        for folder, path in list(self._walk()):
            node = self._nodes[folder]
            now = {name: self._seen(path / name) for name in sorted(one.name for one in path.iterdir())}
            found += [
                (folder, name, number) for name, number in now.items() if node.names.get(name) != number
            ]
            found += [(folder, name, None) for name in node.names.keys() - now.keys()]
            node.names = now
        for node in self._nodes.values():
            if not node.is_folder:
                content = os.pread(node.descriptor, os.fstat(node.descriptor).st_size, 0)
                node.content = node.content if content == node.content else content
        for entries in [tuple(found)] if is_one and found else [(entry,) for entry in found]:
            self._pending.append((Change(entries), {folder for folder, _, _ in entries}))

    def _walk(self) -> Iterator[tuple[int, Path]]:
        for path, folders, _ in os.walk(self.root):
            folders.sort()
            yield self._seen(Path(path)), Path(path)

    def _keep(self, call: str) -> None:
        folders = {number: node.safe_names for number, node in self._nodes.items() if node.is_folder}
        files = {n: (node.safe, node.content) for n, node in self._nodes.items() if not node.is_folder}
        pending = tuple((change, frozenset(folders_)) for change, folders_ in self._pending)
        self.moments.append(
            Moment(
                call, tuple(self._said), self._root, {n: dict(f) for n, f in folders.items()}, pending, files
            )
        )


CONTENTS: dict[str, Callable[[bytes | None, bytes], bytes]] = {
    "lost": lambda safe, _: safe or b"",
    "torn": lambda safe, now: now[: len(now) // 2] + (safe or b"")[len(now) // 2 :],
    "zeros": lambda safe, now: now if safe == now else bytes(len(now)),
    "whole": lambda _, now: now,
}
"""What may be found of an unsynced file."""


@dataclass(frozen=True, slots=True)
class State:
    """What a crash may leave.

    Attributes:
        name: where and how.
        said: what the user was told before.
        moment: when.
        kept: which of the moment's pending changes are there.
        content: what is found of unsynced files, see CONTENTS.
    """

    name: str
    said: tuple[str, ...]
    moment: Moment
    kept: tuple[bool, ...]
    content: str

    def files(self) -> dict[str, bytes | None]:
        """Content by path below the recorded folder; None is a folder."""
        return _built(self.moment, self.kept, CONTENTS[self.content])

    def write(self, folder: Path) -> None:
        """Build it in an empty folder."""
        for name, content in self.files().items():
            path = folder / name
            path.mkdir(parents=True, exist_ok=True) if content is None else path.write_bytes(content)


MOST_CHOICES = 12
"""Of first parts, and of changes left out, at one moment: of dozens that are pending so many are drawn."""


def states_of(moment: Moment, draw: Random) -> list[State]:
    """States that a power cut at a moment may leave, in a drawn order.

    Of what is unsynced there is: nothing, all, each first part, all but one, and some.
    """
    count = len(moment.pending)
    drawn = draw.sample(range(count), min(count, MOST_CHOICES))
    chosen = {(False,) * count, (True,) * count}
    chosen |= {(True,) * first + (False,) * (count - first) for first in drawn}
    chosen |= {tuple(index != left for index in range(count)) for left in drawn}
    chosen |= {tuple(draw.random() < 0.5 for _ in range(count)) for _ in range(4)}
    ways = [(kept, content) for kept in sorted(chosen) for content in CONTENTS]
    draw.shuffle(ways)
    return [_state(moment, kept, content) for kept, content in ways]


def _state(moment: Moment, kept: tuple[bool, ...], content: str) -> State:
    changes = "".join("x" if one else "-" for one in kept)
    name = f"{moment.call}, changes {changes}, content {content}"
    return State(name, moment.said, moment, kept, content)


def _built(
    moment: Moment, kept: Iterable[bool], make: Callable[[bytes | None, bytes], bytes]
) -> dict[str, bytes | None]:
    folders = {number: dict(names) for number, names in moment.folders.items()}
    for (change, unsafe), is_kept in zip(moment.pending, kept, strict=True):
        for folder, name, number in change.entries:
            if is_kept and folder in unsafe:
                if number is None:
                    folders[folder].pop(name, None)
                else:
                    folders[folder][name] = number
    return dict(_files_below(moment, folders, moment.root, ROOT, make))


def _files_below(
    moment: Moment,
    folders: dict[int, Names],
    folder: int,
    path: str,
    make: Callable[[bytes | None, bytes], bytes],
) -> Generator[tuple[str, bytes | None]]:
    for name, number in sorted(folders[folder].items()):
        below = f"{path}{name}"
        if number in folders:
            yield below, None
            yield from _files_below(moment, folders, number, f"{below}/", make)
        else:
            yield below, make(*moment.files[number])


def distinct(moments: Iterable[Moment], seed: int, most: int = 0) -> list[State]:
    """Different states of a recording, in a drawn order; of the same files those of which most was said.

    Args:
        moments: of a recording.
        seed: of what is drawn.
        most: how many at most; 0 for all.
    """
    draw, found, left = Random(seed), dict[str, State](), [*moments]
    queues = [states_of(moment, draw) for moment in left]
    while queues and not (most and len(found) >= most):
        draw.shuffle(queues)
        for state in [queue.pop() for queue in queues][: most or None]:
            digest = hashlib.sha256(repr(sorted(state.files().items())).encode()).hexdigest()
            if digest not in found or len(found[digest].said) < len(state.said):
                found[digest] = state
        queues = [queue for queue in queues if queue]
    return list(found.values())[: most or None]


@contextmanager
def recording(root: Path) -> Generator[Recorder]:
    """Records what the block does below a folder."""
    with pytest.MonkeyPatch.context() as patch, Recorder(root, patch) as recorder:
        yield recorder
