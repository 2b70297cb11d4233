"""What a GPU or the computer's memory refuses in the middle of a run, as sentences that say what to do."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from ....multitalk.common.errors import MachineError, WorkerError
from ..compat.out_of_memory import GPU_FAULT, NO_ENGINE, OutOfMemory, is_out_of_memory

RAM_TEXTS = ("can't allocate memory", "not enough memory: you tried to allocate")
"""What PyTorch says where the computer's memory does not suffice, on Linux and on Windows."""

GPU_TEXTS = (
    "cuda error",
    "cuda driver error",
    "cuda-capable device",
    "no cuda gpus",
    "cudnn_status",
    "cublas_status",
    "hip error",
    "nvml",
)
"""What PyTorch says where a GPU has failed, beside its class for that."""


class GpuMemoryError(OutOfMemory):
    """The GPU's memory did not suffice; by the class above it the host knows to unload its models."""


@contextmanager
def machine_faults(doing: Callable[[], str], kept: str = "") -> Generator[None]:
    """Tells faults of the machine in the block as such, by their cause and remedy.

    Args:
        doing: a noun for what the block was at when it failed.
        kept: what is said of work that was finished before.

    Raises:
        GpuMemoryError: the GPU's memory does not suffice.
        MachineError: the computer's memory does not suffice, or the GPU has failed.
        WorkerError: a process on another GPU failed.
    """
    try:
        yield
    except (RuntimeError, MemoryError, WorkerError) as error:
        told = told_fault(error, doing, kept)
        if told is None:
            raise
        raise told from error


def told_fault(error: Exception, doing: Callable[[], str], kept: str = "") -> Exception | None:
    """The sentence for a fault of the machine; None if it is none, or has been told."""
    behind = f". {kept}" if kept else ""
    if isinstance(error, GpuMemoryError):
        return GpuMemoryError(f"{error}{behind}") if kept else None
    if isinstance(error, WorkerError):
        return WorkerError(f"{error}{behind}") if kept else None
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(part in text for part in RAM_TEXTS):
        return MachineError(
            f"memory: the computer's RAM does not suffice for {doing()}. Close other programs, or choose a "
            f"smaller size or fewer window_frames{behind}"
        )
    if is_out_of_memory(error):
        return too_little(doing(), behind, is_seen_by_cudnn=NO_ENGINE in text)
    if isinstance(error, GPU_FAULT) or any(part in text for part in GPU_TEXTS):
        reason = str(error).split("\n", maxsplit=1)[0].rstrip(". ")
        return MachineError(
            f"GPU: it failed during {doing()} ({reason}). Restart ComfyUI: after such an error a GPU does "
            "nothing more for the program that it came to. If it comes again, look into the system's log for "
            f"the GPU's driver, power and heat{behind}"
        )
    return None


def too_little(doing: str, behind: str, *, is_seen_by_cudnn: bool) -> GpuMemoryError:
    """The sentence for a GPU whose memory did not suffice for something, as far as that is known."""
    if is_seen_by_cudnn:
        return GpuMemoryError(
            f"GPU: its memory does not suffice for {doing} (cuDNN found no way to compute it). Choose a "
            "smaller size or fewer window_frames, or close other programs that use the GPU; if it comes at "
            f"the smallest size too, install a PyTorch that supports this GPU{behind}"
        )
    return GpuMemoryError(
        f"GPU: its memory does not suffice for {doing}. Choose a smaller size, fewer window_frames or a "
        f"larger reserve_vram_gb, or close other programs that use the GPU{behind}"
    )
