"""What a run carries from one window to the next, exactly as it is: with it the run can go on after a stop.

It is saved as a safetensors file, which is read with limits: a foreign or damaged file ends in an error and
in bounded memory.

A run goes on behind its last window. One whose window is made again with another seed begins behind the
window before that, which may be any. Motion frames are kept without loss (43 MB a window at 832x480), so a
long run keeps those of every second, fourth, eighth ... window only: from there a few windows are made once
more, with the same result.

Shape letters: F frames, H height, W width.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ...wanvideo.errors import CheckpointError
from ...wanvideo.safetensors_header import read_safetensors_header
from ..common.errors import RunStoreError

MOTION = "motion_FHWC"
HELD = "held_FHWC"
ATTENTION = "attention"
TYPES = {"F32", "F16", "BF16"}
ATTENTION_TYPE = "U8"
MAX_ATTENTION_ROWS, MAX_ATTENTION_COLUMNS = 100_000, 260
"""Entries on attention that were found: more than any model, schedule and guidance have."""

KEPT_BYTES = 512 * 1024 * 1024
"""Of motion frames in a run's folder, beside those of the last windows."""

KEPT_LAST = 2
"""With the last window's damaged, the last window is made again."""


@dataclass(frozen=True, slots=True)
class WindowOverlap:
    """Frames (F, H, W, 3), 0..1, at the end of a window, and what was found of its attention.

    Attributes:
        motion_FHWC: those that the next window begins from; None before a window that begins afresh.
        held_FHWC: those that wait for the next window to be blended into them, or None.
        attention: which heads are sparse from there on, (attentions, 4 + heads) bytes
            (attention.budget.AttentionBudget.state); None where all are exact.
    """

    motion_FHWC: torch.Tensor | None = None
    held_FHWC: torch.Tensor | None = None
    attention: torch.Tensor | None = None

    @property
    def emitted(self) -> torch.Tensor | None:
        """The last frames of the video so far, as far as they are carried: those that no longer wait."""
        if self.motion_FHWC is None:
            return None
        held = 0 if self.held_FHWC is None else len(self.held_FHWC)
        return self.motion_FHWC[: max(0, len(self.motion_FHWC) - held)]

    @property
    def is_empty(self) -> bool:
        """Whether the next window needs nothing."""
        return self.motion_FHWC is None and self.held_FHWC is None and self.attention is None


def write_overlap(path: Path, carry: WindowOverlap) -> None:
    """Save it, lossless. Raises OSError if the disk is full or the folder gone."""
    tensors = {MOTION: carry.motion_FHWC, HELD: carry.held_FHWC, ATTENTION: carry.attention}
    # Copies: they are views of one window's frames, and safetensors refuses what shares memory.
    kept = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
        if value is not None
    }
    # Not by safetensors' own save_file, whose errors hide what the system said.
    path.write_bytes(save(kept))


def read_overlap(path: Path, motion_frames: int, size: tuple[int, int]) -> WindowOverlap:
    """What was saved.

    Args:
        path: the file.
        motion_frames: how many frames the next window begins from; 0 for none.
        size: height and width of the frames.

    Raises:
        RunStoreError: the file is not such a file, or holds something else.
        OSError: it cannot be read.
    """
    try:
        header = read_safetensors_header(path)
    except CheckpointError as error:
        raise RunStoreError(f"motion frames: {error}") from error
    shapes = {name: info.shape for name, info in header.tensors.items()}
    types = {info.dtype for name, info in header.tensors.items() if name != ATTENTION}
    attention = header.tensors.get(ATTENTION)
    expected = dict[str, tuple[int, ...]]()
    if motion_frames:
        expected[MOTION] = (motion_frames, *size, 3)
    held = shapes.get(HELD)
    if held is not None and len(held) == 4:
        expected[HELD] = (held[0], *size, 3)
    if attention is not None and attention.dtype == ATTENTION_TYPE and len(attention.shape) == 2:
        rows, columns = attention.shape
        expected[ATTENTION] = (min(rows, MAX_ATTENTION_ROWS), min(columns, MAX_ATTENTION_COLUMNS))
    if shapes != expected or not types <= TYPES:
        raise RunStoreError(f"motion frames: {path.name} holds {shapes!s:.200}, expected {expected}")
    try:
        tensors = load_file(str(path))
    except SafetensorError as error:
        raise RunStoreError(f"motion frames: {path.name} cannot be read ({error})") from error
    return WindowOverlap(tensors.get(MOTION), tensors.get(HELD), tensors.get(ATTENTION))


def kept_carries(
    finished: int, bytes_each: int, last: int = KEPT_LAST, most_bytes: int = KEPT_BYTES
) -> frozenset[int]:
    """Indices of the windows whose motion frames are kept.

    What is dropped is dropped for good: with more windows finished, none of these is asked for again.

    Args:
        finished: how many windows have finished.
        bytes_each: size of one window's motion frames.
        last: how many of the last windows are kept in any case.
        most_bytes: of the others.
    """
    room, step = max(1, most_bytes // max(1, bytes_each)), 1
    while finished // step > room:
        step *= 2
    spaced = range(step - 1, finished, step)
    return frozenset(spaced) | frozenset(range(max(0, finished - last), finished))
