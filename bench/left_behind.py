"""What a run over several GPUs has on the machine while it lasts, and what of that is left. Linux."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

import psutil
from comfy_server import ComfyServer
from parallel_runs import workers_of
from server_watch import gpus_memory_gb

SETTLE_S = 15.0
"""How long processes, ports and memory may take to go: a driver gives back 20 GB in seconds."""

POLL_S = 0.2
KILL_S = 10.0
SHARED = Path("/dev/shm")
FILES = ("nccl-*", "torch_*")
"""What NCCL and torch name their shared memory."""

OURS = "evertalk_parallel_*"

COMPILER = "_inductor/compile_worker"
"""In the command of processes that torch keeps to compile with; a server without workers has them too."""

Address: TypeAlias = tuple[str, int]

CONTEXT_GB = 3.0
"""What a server without models may keep of the GPU that it computes on: CUDA, kernels, workspaces."""

NOISE_GB = 0.3


@dataclass(frozen=True, slots=True)
class Before:
    """The machine before a server.

    Attributes:
        gpu_gb: what all programs take of each GPU; empty on a CPU.
        shared: files in SHARED.
    """

    gpu_gb: list[float]
    shared: frozenset[Path]

    @classmethod
    def now(cls, *, tiny: bool) -> "Before":
        """As it is."""
        return cls([] if tiny else gpus_memory_gb(), frozenset(shared_files()))


@dataclass(frozen=True, slots=True)
class Seen:
    """What belonged to a run while it lasted.

    Attributes:
        workers: its worker processes.
        family: all processes that the server had started.
        listening: the addresses where they and the server listened, but for those of before the run.
    """

    workers: list[psutil.Process]
    family: list[psutil.Process]
    listening: set[Address]

    @classmethod
    def of(cls, server: ComfyServer, own: set[Address]) -> "Seen":
        """A server's now; `own` are the addresses where it listens without a run."""
        workers = workers_of(server)
        of_workers = {one for worker in workers for one in children_of(worker)}
        family = [
            one
            for one in children_of(psutil.Process(server.pid))
            if one in of_workers or COMPILER not in command_of(one)
        ]
        pids = {server.pid, *(one.pid for one in family)}
        listening = {address for address, pid in listeners() if pid in pids} - own
        return cls(workers, family, listening)

    def end(self) -> None:
        """See that none of the processes is left for what is run next."""
        for one in self.family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(self.family, KILL_S)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a run.

    Attributes:
        workers: worker processes.
        others: other processes that the server had started for it.
        ports: addresses that are listened at.
        files: names.
        gpu_gb_above: of each GPU, above what it was before the server; None on a CPU.
        settled_s: how long it took to be so.
    """

    workers: int
    others: int
    ports: list[str]
    files: list[str]
    gpu_gb_above: list[float] | None
    settled_s: float = 0.0

    @classmethod
    def of(cls, seen: Seen, base: Path, before: Before) -> "Left":
        """What is left now of what was seen; `base` is the server's folder."""
        alive = {one.pid for one in seen.family if is_alive(one)}
        workers = len(alive & {one.pid for one in seen.workers})
        found = {address for address, _ in listeners()} & seen.listening
        files = [*(base / "temp").glob(OURS), *(set(shared_files()) - before.shared)]
        now = gpus_memory_gb() if before.gpu_gb else []
        above = [round(gb - then, 2) for gb, then in zip(now, before.gpu_gb, strict=True)]
        return cls(
            workers,
            len(alive) - workers,
            named(found),
            sorted(path.name for path in files),
            above if before.gpu_gb else None,
        )


class Judge:
    """What may be left when; each method gives sentences, none where all is well.

    Args:
        workers: of a run.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._freed_gb: float | None = None

    def without_workers(self, left: Left) -> list[str]:
        """The server goes on and keeps its models, but nothing of its workers."""
        found = {
            "workers": left.workers,
            "other processes": left.others,
            "ports": left.ports,
            "files": left.files,
        }
        # The server computes on the first GPU; of the others it keeps nothing.
        others = list(enumerate(left.gpu_gb_above or []))[1:]
        memory = [f"left: {gb} GB on GPU {number}" for number, gb in others if gb > NOISE_GB]
        return [f"left: {name} {what}" for name, what in found.items() if what] + memory

    def none_or_all(self, left: Left) -> list[str]:
        """As without_workers, or all of them wait for the next run."""
        return [] if left.workers == self._workers else self.without_workers(left)

    def freed(self, left: Left) -> list[str]:
        """As without_workers, and the server has no models; what it keeps does not grow."""
        most_gb = CONTEXT_GB if self._freed_gb is None else self._freed_gb + NOISE_GB
        wrong = self.without_workers(left) + on_first(left, most_gb)
        if not wrong and left.gpu_gb_above and self._freed_gb is None:
            self._freed_gb = left.gpu_gb_above[0]
        return wrong

    def gone(self, left: Left) -> list[str]:
        """As without_workers, and no server either."""
        return self.without_workers(left) + on_first(left, NOISE_GB)


def on_first(left: Left, most_gb: float) -> list[str]:
    """What is wrong with the memory of the GPU that the server computes on."""
    gb = (left.gpu_gb_above or [0.0])[0]
    return [] if gb <= most_gb else [f"left: {gb} GB on GPU 0, expected {most_gb:.2f} at most"]


def settled(look: Callable[[], Left], wrong_of: Callable[[Left], list[str]]) -> tuple[Left, list[str]]:
    """What is left once nothing is wrong with it, or SETTLE_S later; and what is wrong then."""
    started = time.monotonic()
    while True:
        left = look()
        wrong = wrong_of(left)
        spent_s = time.monotonic() - started
        if not wrong or spent_s > SETTLE_S:
            parts = (left.workers, left.others, left.ports, left.files, left.gpu_gb_above)
            return Left(*parts, settled_s=round(spent_s, 2)), wrong
        time.sleep(POLL_S)


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """All that a process has started, and they; none where it is gone."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def command_of(process: psutil.Process) -> str:
    """How a process was called; empty where it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that nobody has waited for yet holds nothing any more."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listeners() -> list[tuple[Address, int | None]]:
    """Where anything on this machine listens over TCP, and which process."""
    found = psutil.net_connections("tcp")
    return [
        ((str(one.laddr.ip), one.laddr.port), one.pid)
        for one in found
        if one.laddr and one.status == psutil.CONN_LISTEN
    ]


def named(addresses: set[Address]) -> list[str]:
    """Addresses for a row."""
    return [f"{host}:{port}" for host, port in sorted(addresses)]


def reachable(addresses: set[Address]) -> list[str]:
    """Those that other machines reach."""
    return named({one for one in addresses if not ip_address(one[0]).is_loopback})


def shared_files() -> list[Path]:
    """The shared memory of NCCL and torch that has a name now."""
    return [path for pattern in FILES for path in SHARED.glob(pattern)]
