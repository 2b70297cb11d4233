"""The frames that a window begins from, exactly as they are: what a run needs to go on after a stop.

They are saved as a safetensors file with one tensor, which is read with limits: a foreign or damaged file
ends in an error and in bounded memory.

Shape letters: F frames, H height, W width.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ..wanvideo.errors import CheckpointError
from ..wanvideo.safetensors_header import read_safetensors_header
from .errors import RunStoreError

TENSOR = "motion_FHWC"
TYPES = {"F32", "F16", "BF16"}


def write_motion(path: Path, motion_FHWC: torch.Tensor) -> None:
    """Save frames, lossless. Raises OSError if the disk is full or the folder gone."""
    # Not by safetensors' own save_file, whose errors hide what the system said.
    path.write_bytes(save({TENSOR: motion_FHWC.detach().cpu().contiguous()}))


def read_motion(path: Path, expected: tuple[int, ...]) -> torch.Tensor:
    """The saved frames, of the shape that is expected.

    Raises:
        RunStoreError: the file is no such file, or holds something else.
        OSError: it cannot be read.
    """
    try:
        header = read_safetensors_header(path)
    except CheckpointError as error:
        raise RunStoreError(f"motion frames: {error}") from error
    found = {name: (info.dtype, info.shape) for name, info in header.tensors.items()}
    if set(found) != {TENSOR} or found[TENSOR][0] not in TYPES or found[TENSOR][1] != expected:
        raise RunStoreError(f"motion frames: {path.name} holds {found!s:.200}, expected {expected} frames")
    try:
        return load_file(str(path))[TENSOR]
    except SafetensorError as error:
        raise RunStoreError(f"motion frames: {path.name} cannot be read ({error})") from error
