"""One writer a run folder, across processes, containers and machines that share a disk.

The lock is a file that only one can create. It says who holds it; a thread touches it every BEAT_S seconds.
It is stale when its process is gone (same machine), or when it was not touched for STALE_S seconds (another
machine, or another container, whose processes cannot be seen). A stale lock is taken over under a second
lock, so that of several who find it stale one gets it; and whoever was asleep for so long finds out by
`check` before it writes the next window.

`SoftFileLease` of the package `filelock` does nearly this, but only since its release 3.30, and torch comes
with any release. It does not tell who holds a lock nor how long it takes to become stale, and it reports a
lost lock at the next touch, where `check` does before the next write.
"""

import contextlib
import errno
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import psutil

from ...wanvideo.plain_file import NotPlainFileError, kind_of, read_plain
from ..common.errors import RunStoreError

NAME = "lock"
BREAKER_NAME = "lock.takeover"
BEAT_S = 5.0
STALE_S = 30.0
MAX_BYTES = 4096
MAX_TORN_BYTES = 65_536
"""What is longer is not even a damaged lock, and is not waited for."""

START_TOLERANCE_S = 2.0
"""A process' start, seen through the system's clock, moves a little when the clock is set."""

START_FIELD = 19
"""Of a line of /proc/PID/stat, behind the name: when the process was started (proc(5), field 22)."""

_POLL_S = 0.5
_INVENTED = 1 << 40
"""The bit of a network address that uuid.getnode sets in the ones it makes up (RFC 4122, 4.5)."""

_held: set[str] = set()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Attributes:
        token: of this one taking of the lock.
        host: the machine, or the container on it.
        pid: process.
        started_s: when the process was started, seconds since 1970.
        start: the same as the kernel counts it, whatever is done to the clock; empty where that is not known.
    """

    token: str
    host: str
    pid: int
    started_s: float
    start: str = ""

    @classmethod
    def me(cls) -> "Holder":
        """This process."""
        pid, started_s = os.getpid(), psutil.Process().create_time()
        return cls(uuid.uuid4().hex, this_host(), pid, started_s, start_of(pid))

    @classmethod
    def parse(cls, text: bytes) -> "Holder | None":
        """The holder that a lock file names; None for a file that is torn or was never a lock."""
        try:
            fields = json.loads(text)
            token, host, pid, started_s = (fields[name] for name in ("token", "host", "pid", "started_s"))
            start = fields.get("start", "")
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if not all(isinstance(text, str) for text in (token, host, start)) or type(pid) is not int:
            return None
        return cls(token, host, pid, float(started_s), start) if type(started_s) in (int, float) else None

    @property
    def is_gone(self) -> bool:
        """Whether it is certain that its process has ended; only said of this machine's."""
        if self.host != this_host():
            return False
        if self.pid == os.getpid():
            return self.token not in _held
        try:
            started_s = psutil.Process(self.pid).create_time()
        except (psutil.NoSuchProcess, OverflowError, ValueError):
            return True
        except psutil.AccessDenied:
            return False
        now = start_of(self.pid)
        if self.start and now:
            return now != self.start
        return abs(started_s - self.started_s) > START_TOLERANCE_S


class RunLock:
    """Context manager: the lock of a run's folder.

    Args:
        folder: the run's folder, which exists.
        waiting: called while it is not yet known whether a holder on another machine still lives, with the
            seconds that are left; may raise.
        stale_s: how long nobody touches a lock that is stale.
        beat_s: from one touch of our own to the next.

    Raises:
        RunStoreError: another writer lives.
    """

    def __init__(
        self,
        folder: Path,
        waiting: Callable[[float], None] | None = None,
        *,
        stale_s: float = STALE_S,
        beat_s: float = BEAT_S,
    ) -> None:
        self._path = folder / NAME
        self._breaker = folder / BREAKER_NAME
        self._waiting = waiting or _wait_silently
        self._stale_s, self._beat_s = stale_s, beat_s
        self._me = Holder.me()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="evertalk-lock", daemon=True)

    def __enter__(self) -> "RunLock":
        first_seen, since_s = None, time.monotonic()
        while not self._create():
            self._check_plain(self._path)
            touched, holder = self._touched(), self._holder()
            left_s = self._stale_s - (time.monotonic() - since_s)
            if touched is None:
                continue
            if (holder is not None and holder.is_gone) or left_s <= 0:
                self._take_over(touched)
                continue
            first_seen = first_seen or touched
            if touched != first_seen or (holder is not None and holder.host == this_host()):
                raise self._refusal(holder)
            self._waiting(left_s)
            time.sleep(_POLL_S)
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        _held.discard(self._me.token)
        with contextlib.suppress(OSError):
            holder = self._holder()
            if holder is not None and holder.token == self._me.token:
                self._path.unlink(missing_ok=True)

    def check(self) -> None:
        """Make sure that the lock is still ours, before something is written.

        Raises:
            RunStoreError: it was taken over, or deleted.
            OSError: the folder is gone, or does not answer.
        """
        holder = self._holder()
        if holder is None and not self._path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path.parent))
        if holder is None or holder.token != self._me.token:
            whose = "is gone" if holder is None else f"belongs to process {holder.pid} on {holder.host}"
            raise RunStoreError(
                f"run folder {self._path.parent}: its lock {whose}, so this run stops rather than write into "
                "another's. The windows that were finished are kept; queue the workflow again"
            )

    def _create(self) -> bool:
        content = json.dumps(asdict(self._me)).encode()
        try:
            with self._path.open("xb") as file:
                _held.add(self._me.token)
                file.write(content)
                file.flush()
                # A power cut would leave it empty, and nobody could tell that its holder is gone.
                os.fsync(file.fileno())
        except FileExistsError:
            return False
        except OSError:
            if self._me.token in _held:  # made, but not written: empty, it would keep all out for STALE_S
                _held.discard(self._me.token)
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)
            raise
        return True

    def _holder(self) -> Holder | None:
        """Who holds the lock; None for one that is not there or that is none. Raises OSError."""
        try:
            return Holder.parse(read_plain(self._path, MAX_BYTES, follow=False))
        except (FileNotFoundError, NotADirectoryError, NotPlainFileError, PermissionError):
            return None

    def _check_plain(self, path: Path) -> None:
        """Refuse what no EverTalk has made: waiting for its holder would be for nothing, or without end.

        Raises:
            RunStoreError: it is not a plain file, or far too long.
        """
        try:
            status = path.lstat()
        except OSError:
            return
        what = kind_of(status.st_mode)
        if not what and status.st_size > MAX_TORN_BYTES:
            what = f"a file of {status.st_size} bytes"
        if what:
            raise RunStoreError(
                f"run folder {path.parent}: `{path.name}` is {what}, not a lock of EverTalk's. Remove it and "
                "queue the workflow again, or choose another filename_prefix"
            )

    def _touched(self) -> tuple[int, int] | None:
        """Changes whenever the holder lives: no clock of ours is compared with another machine's."""
        try:
            status = self._path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_mtime_ns, status.st_ino

    def _refusal(self, holder: Holder | None) -> RunStoreError:
        who = "another process" if holder is None else f"process {holder.pid} on {holder.host.split('/')[0]}"
        return RunStoreError(
            f"run folder {self._path.parent}: {who} is working on the same run. Wait until it has finished "
            "and queue again, or choose another filename_prefix"
        )

    def _take_over(self, judged: tuple[int, int] | None) -> None:
        """Remove the lock if it is still the one that was found stale."""
        try:
            with self._breaker.open("xb"):
                pass
        except FileExistsError:
            self._check_plain(self._breaker)
            self._remove_old_breaker()
            time.sleep(_POLL_S / 10)
            return
        try:
            if self._touched() == judged:
                self._path.unlink(missing_ok=True)
        finally:
            self._breaker.unlink(missing_ok=True)

    def _remove_old_breaker(self) -> None:
        """It is held for milliseconds: one that stays was left by a crash in between."""
        with contextlib.suppress(OSError):
            before = self._breaker.stat()
            time.sleep(_POLL_S)
            now = self._breaker.stat()
            if (before.st_ino, before.st_mtime_ns) == (now.st_ino, now.st_mtime_ns):
                self._breaker.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(self._beat_s):
            # A lost folder is found by `check`, which can tell the user.
            with contextlib.suppress(OSError):
                holder = self._holder()
                if holder is not None and holder.token == self._me.token:
                    os.utime(self._path)


def start_of(pid: int) -> str:
    """The boot and the tick at which a process was started; "" where the kernel does not tell.

    Its time of day is reckoned from the clock, so a clock that is set would make a living holder look gone.
    """
    with contextlib.suppress(OSError, IndexError):
        # The second field is the program's name, in brackets, and may hold anything.
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{fields[START_FIELD]}"
    return ""


def _wait_silently(left_s: float) -> None:
    del left_s


def this_host() -> str:
    """This machine as long as its processes can be seen: a container is a machine of its own."""
    return f"{socket.gethostname()}/{_machine()}/{_processes()}"


def _machine() -> str:
    """A network card's address; without one Python invents another in every process, so then the boot's."""
    node = uuid.getnode()
    if not node & _INVENTED:
        return f"{node:012x}"
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return "unknown"


def _processes() -> str:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return "all"
