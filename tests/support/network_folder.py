"""A folder that another program serves, as a network share is: it answers slowly, or not, or with errors.

The program is this file, which speaks the kernel's FUSE protocol (linux/fuse.h) over /dev/fuse and passes
every request on to a plain folder. So the faults meet whoever asks: Python, FFmpeg, mapped files. Root alone
may mount; elsewhere tests are skipped. Linux.
"""

import ctypes
import errno
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

IN_HEADER = struct.Struct("<IIQQIIIHH")
OUT_HEADER = struct.Struct("<IiQ")
ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
MAJOR, MINOR, MAX_WRITE = 7, 31, 1 << 16
ROOT_ID = 1
NOSUID_NODEV = 2 | 4
SIZE_IS_SET, HANDLE_IS_GIVEN = 1 << 3, 1
SILENT = {2, 36, 42}
"""FORGET, INTERRUPT and BATCH_FORGET want no answer."""

INIT = 26


@dataclass
class Weather:
    """What befalls requests.

    Attributes:
        code: errno of the answer to those from `first` on; 0: none fails.
        first: the first that fails or is held, from 1.
        hold_s: how long the request `first` is not answered.
        slow_s: how long each takes.
        seen: requests so far.
    """

    code: int = 0
    first: int = 1
    hold_s: float = 0.0
    slow_s: float = 0.0
    seen: int = 0

    def meet(self) -> None:
        """A request; raises OSError if it is one of those that fail."""
        self.seen += 1
        time.sleep(self.slow_s)
        if self.seen == self.first:
            time.sleep(self.hold_s)
        if self.code and self.seen >= self.first:
            raise OSError(self.code, os.strerror(self.code))


@dataclass
class Served:
    """The folder behind, and what the kernel knows of it.

    Attributes:
        root: the plain folder.
        places: by node: the node of the folder that it is in, and its name there.
        nodes: by number of the file (st_ino).
    """

    root: Path
    places: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])
    nodes: dict[int, int] = field(default_factory=dict[int, int])

    def path(self, node: int) -> Path:
        """Where a node lies now."""
        if node == ROOT_ID:
            return self.root
        if node not in self.places:
            raise OSError(errno.ESTALE, "it is gone")
        parent, name = self.places[node]
        return self.path(parent) / name

    def entry(self, parent: int, name: str) -> bytes:
        """A name that was found or made (fuse_entry_out)."""
        status = (self.path(parent) / name).lstat()
        node = self.nodes.setdefault(status.st_ino, max(self.nodes.values(), default=ROOT_ID) + 1)
        self.places[node] = (parent, name)
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + attr_of(status)

    def forget(self, path: Path) -> None:
        """A name goes; with its last one, the file."""
        with suppress(FileNotFoundError):
            status = path.lstat()
            if status.st_nlink == 1 or path.is_dir():
                self.nodes.pop(status.st_ino, None)


def attr_of(status: os.stat_result) -> bytes:
    """fuse_attr."""
    times = [int(one) for one in (status.st_atime, status.st_mtime, status.st_ctime)]
    parts = [ns % 10**9 for ns in (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)]
    owner = (status.st_mode, status.st_nlink, status.st_uid, status.st_gid, 0, 4096, 0)
    return ATTR.pack(status.st_ino, status.st_size, status.st_blocks, *times, *parts, *owner)


def names_in(body: bytes) -> list[str]:
    """Names that end with zeros."""
    return [os.fsdecode(name) for name in body.split(b"\0")[:-1]]


class Server:
    """Answers requests.

    Args:
        served: the folder.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.answers: dict[int, Callable[[int, bytes], bytes]] = {
            1: self.lookup,
            3: self.get_attr,
            4: self.set_attr,
            9: self.mkdir,
            10: self.unlink,
            11: self.unlink,
            12: lambda node, body: self.rename(node, body, 8),
            13: self.link,
            14: self.open,
            15: self.read,
            16: self.write,
            17: self.stat_fs,
            18: self.release,
            20: self.sync,
            25: lambda _node, _body: b"",
            27: lambda _node, _body: bytes(16),
            28: self.read_dir,
            29: lambda _node, _body: b"",
            30: self.sync_dir,
            35: self.create,
            45: lambda node, body: self.rename(node, body, 16),
        }

    def lookup(self, node: int, body: bytes) -> bytes:
        """A name in a folder."""
        return self.served.entry(node, names_in(body)[0])

    def get_attr(self, node: int, body: bytes) -> bytes:
        """stat."""
        flags, _, handle = struct.unpack_from("<IIQ", body)
        status = os.fstat(handle) if flags & HANDLE_IS_GIVEN else self.served.path(node).lstat()
        return bytes(16) + attr_of(status)

    def set_attr(self, node: int, body: bytes) -> bytes:
        """truncate and utime; owners and modes stay."""
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        path = self.served.path(node)
        if valid & SIZE_IS_SET:
            os.truncate(path, size)
        else:
            os.utime(path)
        return bytes(16) + attr_of(path.lstat())

    def mkdir(self, node: int, body: bytes) -> bytes:
        """A new folder."""
        (name,) = names_in(body[8:])
        (self.served.path(node) / name).mkdir()
        return self.served.entry(node, name)

    def unlink(self, node: int, body: bytes) -> bytes:
        """A file or an empty folder goes."""
        path = self.served.path(node) / names_in(body)[0]
        is_folder = path.is_dir() and not path.is_symlink()
        self.served.forget(path)
        path.rmdir() if is_folder else path.unlink()
        return b""

    def rename(self, node: int, body: bytes, names_at: int) -> bytes:
        """Another name, which may be taken."""
        old, new = names_in(body[names_at:])
        parent = int.from_bytes(body[:8], "little")
        target = self.served.path(parent) / new
        self.served.forget(target)
        (self.served.path(node) / old).rename(target)
        self.served.entry(parent, new)
        return b""

    def link(self, node: int, body: bytes) -> bytes:
        """One more name."""
        (name,) = names_in(body[8:])
        os.link(self.served.path(int.from_bytes(body[:8], "little")), self.served.path(node) / name)
        return self.served.entry(node, name)

    def open(self, node: int, body: bytes) -> bytes:
        """A handle: the descriptor itself."""
        flags = int.from_bytes(body[:4], "little") & ~(os.O_NOFOLLOW | os.O_APPEND)
        return struct.pack("<QIi", os.open(self.served.path(node), flags), 0, 0)

    def create(self, node: int, body: bytes) -> bytes:
        """A new file, open."""
        flags = int.from_bytes(body[:4], "little")
        (name,) = names_in(body[16:])
        handle = os.open(self.served.path(node) / name, flags | os.O_CREAT, 0o644)
        return self.served.entry(node, name) + struct.pack("<QIi", handle, 0, 0)

    def read(self, _node: int, body: bytes) -> bytes:
        """Bytes of an open file."""
        handle, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(handle, size, offset)

    def write(self, _node: int, body: bytes) -> bytes:
        """Bytes to an open file."""
        handle, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(handle, body[40 : 40 + size], offset), 0)

    def release(self, _node: int, body: bytes) -> bytes:
        """Close."""
        os.close(int.from_bytes(body[:8], "little"))
        return b""

    def sync(self, _node: int, body: bytes) -> bytes:
        """fsync of a file; the test is not about the real disk."""
        os.fstat(int.from_bytes(body[:8], "little"))
        return b""

    def sync_dir(self, node: int, _body: bytes) -> bytes:
        """fsync of a folder."""
        self.served.path(node).stat()
        return b""

    def read_dir(self, node: int, body: bytes) -> bytes:
        """Names from an offset on."""
        _, offset, size = struct.unpack_from("<QQI", body)
        told = b""
        names = sorted(os.listdir(self.served.path(node)))  # noqa: PTH208  # names are what is told
        for place, name in enumerate(names[offset:], offset + 1):
            raw = os.fsencode(name)
            one = struct.pack("<QQII", 1 << 40, place, len(raw), 0) + raw
            one += bytes(-len(one) % 8)
            if len(told) + len(one) > size:
                break
            told += one
        return told

    def stat_fs(self, _node: int, _body: bytes) -> bytes:
        """Room."""
        found = os.statvfs(self.served.root)
        return struct.pack(
            "<QQQQQIIII24x",
            *(found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree),
            *(found.f_bsize, 255, found.f_frsize, 0),
        )


def unknown(_node: int, _body: bytes) -> bytes:
    """What this folder does not know, such as attributes of its own."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def answer(server: Server, weather: Weather, request: bytes) -> bytes | None:
    """The answer to one request; None where none is wanted."""
    length, opcode, unique, node, *_ = IN_HEADER.unpack_from(request)
    body = request[IN_HEADER.size : length]
    if opcode in SILENT:
        return None
    if opcode == INIT:
        body = struct.pack("<IIIIHHIIHHI28x", MAJOR, MINOR, 1 << 16, 0, 8, 8, MAX_WRITE, 1, 0, 0, 0)
        return OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique) + body
    try:
        weather.meet()
        body = server.answers.get(opcode, unknown)(node, body)
    except OSError as error:
        return OUT_HEADER.pack(OUT_HEADER.size, -(error.errno or errno.EIO), unique)
    return OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique) + body


def tell(line: str) -> None:
    """A line to whoever started this program."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve(root: Path, mount: Path) -> None:
    """Mount and answer until the folder is unmounted; a line of standard input changes the weather.

    A line holds code, first, hold_s and slow_s; how many requests there were before is the answer.
    """
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"evertalk", os.fsencode(mount), b"fuse", NOSUID_NODEV, options):
        tell(os.strerror(ctypes.get_errno()))
        return
    tell("mounted")
    server, weather = Server(Served(root)), Weather()
    while True:
        ready, _, _ = select.select([device, sys.stdin], [], [])
        if sys.stdin in ready:
            line = sys.stdin.readline().split()
            if not line:
                return
            tell(str(weather.seen))
            weather = Weather(int(line[0]), int(line[1]), float(line[2]), float(line[3]))
            continue
        try:
            told = answer(server, weather, os.read(device, MAX_WRITE + 8192))
            if told is not None:
                os.write(device, told)
        except OSError as error:
            if error.errno == errno.ENODEV:  # unmounted
                return
            if error.errno not in (errno.ENOENT, errno.EINTR, errno.EAGAIN):  # the asker was interrupted
                raise


@dataclass(frozen=True, slots=True)
class Share:
    """A mounted folder.

    Attributes:
        folder: where it is seen.
        process: who serves it.
    """

    folder: Path
    process: "subprocess.Popen[str]"

    def change(self, *, code: int = 0, first: int = 1, hold_s: float = 0.0, slow_s: float = 0.0) -> int:
        """Another weather, see Weather; how many requests there were under the last one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{code} {first} {hold_s} {slow_s}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill(self) -> None:
        """The server dies: whoever asks is told that the other end is not connected."""
        self.process.kill()
        self.process.wait()


class NoShareError(Exception):
    """Nothing can be mounted here; the message says why."""


@contextmanager
def share_at(mount: Path, behind: Path) -> Generator[Share]:
    """A folder at `mount` that a program of its own serves out of the folder `behind`; both are made.

    Raises:
        NoShareError: this machine does not let us.
    """
    for folder in (mount, behind):
        folder.mkdir(exist_ok=True)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise NoShareError("no /dev/fuse")
    command = [sys.executable, str(Path(__file__).resolve()), str(behind), str(mount)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if said != "mounted":
        process.kill()
        process.wait()
        raise NoShareError(said)
    try:
        yield Share(mount, process)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
