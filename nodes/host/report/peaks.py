"""The most memory that a run held: the server's process, and PyTorch on the GPU."""

import sys
from pathlib import Path

import psutil
import torch

KIB = 1024
RESET_PEAK = "5"
"""What the kernel takes as: forget the highest resident size so far."""

PROC = Path("/proc/self")


def reset_peaks() -> None:
    """Start measuring: GPU always, memory where the system can forget its peak (Linux)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if sys.platform == "linux":
        try:
            (PROC / "clear_refs").write_text(RESET_PEAK, encoding="ascii")
        except OSError:  # forbidden in some containers: the peak since the server's start is shown then
            return


def peak_vram_bytes() -> int:
    """The most that PyTorch's tensors took on the GPU; 0 without one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


def peak_ram_bytes() -> int:
    """The most that this process held; on systems that cannot forget, since the server's start."""
    memory = psutil.Process().memory_info()
    if sys.platform == "linux":
        status = (PROC / "status").read_text(encoding="utf-8", errors="replace")
        return next(int(line.split()[1]) * KIB for line in status.splitlines() if line.startswith("VmHWM:"))
    if sys.platform == "win32":
        return int(memory.peak_wset)
    return int(memory.rss)
