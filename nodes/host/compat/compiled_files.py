"""Where torch keeps what it compiled: in ComfyUI's user folder, which outlives a restart of the machine.

Torch's own place is the system's folder for temporary files, which many systems empty when they start, and a
container when it ends.
"""

import os
from pathlib import Path

import folder_paths
import torch

PLACE = "TORCHINDUCTOR_CACHE_DIR"
"""Torch's own variable; torch itself sets it when it first compiles. A place that is set is left alone."""

FOLDER = ("evertalk", "compiled")


def keep_compiled_files() -> None:
    """Have torch write what it compiles from now on where it is found again; called before it compiles.

    Only with CUDA: kernels for CPUs are not written in one go, and a run that is killed then would leave half
    of a library behind that is loaded ever after.
    """
    if torch.cuda.is_available():
        os.environ.setdefault(PLACE, str(Path(folder_paths.get_user_directory()).joinpath(*FOLDER)))
