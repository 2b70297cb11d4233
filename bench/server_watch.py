"""What a server's process and its GPU take while it works, and what its log complains of. Linux."""

import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

SAMPLE_S = 0.25
MIB = 1024**2
COMPLAINT = re.compile(
    r"warn|pinn?ed|\bpin|fail|error|exception|traceback|recompil|graph break|leak|not support|out of memory",
    re.IGNORECASE,
)
HOST_MEMORY = re.compile(
    r"Requested to load|loaded (completely|partially)|prepared for dynamic|Unloaded partially|VRAM|pinned mem"
)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""What newer hosts paint their levels with."""

NUMBER = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")
"""What differs from one line to the next that says the same."""

SHOWN, LINE_LENGTH, HOST_LINES = 12, 220, 24
_STATUS = re.compile(r"^(VmHWM|VmRSS|RssAnon|RssFile|RssShmem|VmLck|VmPin):\s+(\d+) kB$", re.MULTILINE)
_MEMORY = re.compile(r"^(MemAvailable|Unevictable|Mlocked):\s+(\d+) kB$", re.MULTILINE)


class Watch:
    """Samples a process and the first GPU; use it as a context manager around what is watched.

    Attributes:
        most: GB; of each figure of the process the most that was seen, of MemAvailable the least; `gpu`: of
            all programs on the GPU, `gpu_before`: before it began.
    """

    def __init__(self, pid: int) -> None:
        self.most: dict[str, float] = {}
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample_host, daemon=True)
        self._smi: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Watch":
        if shutil.which("nvidia-smi") is not None:
            before = gpu_memory_gb()
            self.most |= {"gpu_before": before, "gpu": before}
            query = ["nvidia-smi", "-i", "0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
            self._smi = subprocess.Popen([*query, "-lms", "250"], stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self._read_smi, args=(self._smi,), daemon=True).start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self._smi is not None:
            self._smi.kill()
            self._smi.wait()

    def _read_smi(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with suppress(ValueError):
                self._keep("gpu", int(line) * MIB / 1e9)

    def _sample_host(self) -> None:
        while not self._end.wait(SAMPLE_S):
            with suppress(OSError):  # the process may end at any moment
                status = Path(f"/proc/{self._pid}/status").read_text()
                for name, number in _STATUS.findall(status):
                    self._keep(name, int(number) * 1024 / 1e9)
            for name, number in _MEMORY.findall(Path("/proc/meminfo").read_text()):
                sign = -1 if name == "MemAvailable" else 1
                self._keep(name, sign * int(number) * 1024 / 1e9)

    def _keep(self, name: str, figure: float) -> None:
        self.most[name] = max(self.most.get(name, figure), figure)

    def row(self) -> dict[str, float]:
        """The figures in GB, rounded."""
        return {name: round(abs(figure), 2) for name, figure in self.most.items()}


def gpu_memory_gb() -> float:
    """What all programs take on the first GPU now; 0 without nvidia-smi."""
    return (gpus_memory_gb() or [0.0])[0]


def gpus_memory_gb() -> list[float]:
    """What all programs take on each GPU now; empty without nvidia-smi."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        return [int(line) * MIB / 1e9 for line in found.stdout.splitlines()]
    return []


def wait_for_gpu(at_most_gb: float, timeout_s: float) -> None:
    """Until a server that was stopped has given its memory back."""
    ends_at = time.monotonic() + timeout_s
    while gpu_memory_gb() > at_most_gb and time.monotonic() < ends_at:
        time.sleep(0.3)


def complaints_of(log: str) -> dict[str, Any]:
    """The lines that complain, each kind once with how often it came, the most frequent first."""
    lines = [line for line in lines_of(log) if COMPLAINT.search(line)]
    kinds = Counter(NUMBER.sub("#", line)[:LINE_LENGTH] for line in lines)
    return {"lines": len(lines), "kinds": dict(kinds.most_common(SHOWN))}


def host_memory_of(log: str) -> list[str]:
    """What the host's memory manager said of loading."""
    return [line[:LINE_LENGTH] for line in lines_of(log) if HOST_MEMORY.search(line)][:HOST_LINES]


def lines_of(log: str) -> list[str]:
    """The lines of a log, without colours."""
    return [line.strip() for line in COLOUR.sub("", log).splitlines()]
