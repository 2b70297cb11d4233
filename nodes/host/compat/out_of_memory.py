"""Whether an error says that the GPU's memory did not suffice, in whichever words it comes."""

import comfy.model_management
import torch

OutOfMemory: type[RuntimeError] = torch.cuda.OutOfMemoryError
"""PyTorch's class for it, by the name that every release has."""

GPU_FAULT: type[BaseException] | tuple[()] = getattr(torch, "AcceleratorError", ())
"""PyTorch's class for a GPU that failed; releases before 2.8 have none, and raise a RuntimeError."""

NO_ENGINE = "unable to find an engine to execute this computation"
"""What PyTorch says of a convolution when none of cuDNN's algorithms came through. It passes over those that
find no memory to work in: a full GPU shows in this way, and so does one that cuDNN does not support."""

TEXTS = ("out of memory", "_status_alloc_failed", "_status_not_enough_workspace", NO_ENGINE)
"""What PyTorch says beside its own class: where the driver answers late, from cuBLAS and cuDNN, on a Mac."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it is one; the driver's own late answer is taken from it, where the host can do that."""
    host_says = getattr(comfy.model_management, "is_oom", None)
    if host_says is not None and host_says(error):
        return True
    if isinstance(error, OutOfMemory):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in TEXTS)
