"""Tensors that lie in a file instead of memory: an hour's sound, an hour's encoded speech.

They are written piece by piece and then mapped, so that all other code has a tensor as any other. What is
read of it is in the system's file cache, and counts as this process' memory until drop_page_cache is called
or memory runs short.

The file has no name (on Windows it is deleted with its last user), so that none is left in any
case.
"""

import mmap
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from math import prod
from pathlib import Path

import torch

from .errors import InputError

SPILL_BYTES = 8 * 2**20
"""What is longer goes into a file: 9 s of base-size features, 2 min of speech at 16 kHz."""

PIECE_VALUES = 1 << 18
"""Values of a long tensor that are read at a time: larger pieces leave larger holes in memory."""

_FORGET = 4
"""MADV_DONTNEED: the pages stay in the system's cache, and are there at once when they are read again."""

_PAGE_OUT = 21
"""MADV_PAGEOUT, Linux 5.4 and later. Unlike MADV_DONTNEED it loses nothing where somebody has written into
the tensor, as other packs' nodes may do with a sound; it is read from the disk again."""

_MAPS: "weakref.WeakKeyDictionary[mmap.mmap, int]" = weakref.WeakKeyDictionary()
"""Each with the advice by which it is let go."""


class TensorFile:
    """A tensor in the making; a context manager.

    Args:
        folder: where its file lies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by __exit__
        except OSError as error:
            raise _unwritable(folder, error) from error
        self.values = 0

    def __enter__(self) -> "TensorFile":
        return self

    def __exit__(self, *_: object) -> None:
        # mapped() has written all out; where that failed, its error has been told and is not to be hidden.
        with suppress(OSError):
            self._file.close()

    def append(self, values: torch.Tensor) -> None:
        """Write float32 values after those that are there.

        Raises:
            InputError: the folder's disk is full or gone.
        """
        assert values.dtype == torch.float32, f"{values.dtype}"
        try:
            self._file.write(values.contiguous().numpy().data)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        self.values += values.numel()

    def mapped(self, shape: Sequence[int], *, ours: bool = True) -> torch.Tensor:
        """The tensor of all values, which needs this object no more.

        Args:
            shape: of the tensor.
            ours: nobody else gets the tensor; whoever gets it may write into it, and changes a copy.
        """
        assert prod(shape) == self.values > 0, f"{self.values} values do not fill {tuple(shape)}"
        try:
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        map_ = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        _MAPS[map_] = _FORGET if ours else _PAGE_OUT
        return torch.frombuffer(map_, dtype=torch.float32).reshape(*shape)


def gathered(
    pieces: Iterable[torch.Tensor], folder: Path | None, spill_bytes: int | None = None
) -> torch.Tensor:
    """Pieces joined along their first axis: in memory up to `spill_bytes`, beyond that in a file.

    Args:
        pieces: float32, on the CPU, alike but for their length; at least one.
        folder: for the file; None: all stays in memory.
        spill_bytes: how many stay in memory; None: SPILL_BYTES.

    Raises:
        InputError: the folder's disk is full or gone.
    """
    held: list[torch.Tensor] = []
    size, rest, most = 0, iter(pieces), SPILL_BYTES if spill_bytes is None else spill_bytes
    for piece in rest:
        held.append(piece)
        size += piece.numel() * piece.element_size()
        if folder is not None and size > most:
            return _spilled(chain(held, rest), folder)
    return held[0] if len(held) == 1 else torch.cat(held)


def gathered_channels(
    blocks: Iterable[torch.Tensor], folder: Path | None, spill_bytes: int | None = None
) -> torch.Tensor:
    """Blocks (channels, time) of a sound joined in time, each channel in one stretch; see gathered.

    Anybody may get the sound, and write into it.

    Returns:
        (channels, time); (1, 0) if there is no block.
    """
    held: list[torch.Tensor] = []
    size, rest, most = 0, iter(blocks), SPILL_BYTES if spill_bytes is None else spill_bytes
    for block_CT in rest:
        held.append(block_CT)
        size += block_CT.numel() * block_CT.element_size()
        if folder is not None and size > most:
            return _spilled_channels(chain(held, rest), block_CT.shape[0], folder)
    return torch.cat(held, dim=1) if held else torch.zeros(1, 0)


def _spilled_channels(blocks: Iterable[torch.Tensor], channels: int, folder: Path) -> torch.Tensor:
    with ExitStack() as files:
        tracks = [files.enter_context(TensorFile(folder)) for _ in range(channels)]
        for block_CT in blocks:
            for track, block_T in zip(tracks, block_CT, strict=True):
                track.append(block_T)
        length = tracks[0].values
        if channels == 1:
            return tracks[0].mapped((1, length), ours=False)
        whole = files.enter_context(TensorFile(folder))
        for track in tracks:
            for piece_T in pieces_of(track.mapped((length,))):
                whole.append(piece_T)
        return whole.mapped((channels, length), ours=False)


def _spilled(pieces: Iterable[torch.Tensor], folder: Path) -> torch.Tensor:
    length, shape = 0, torch.Size()
    with TensorFile(folder) as file:
        for piece in pieces:
            file.append(piece)
            length, shape = length + piece.shape[0], piece.shape[1:]
        return file.mapped((length, *shape))


def pieces_of(values: torch.Tensor, length: int = PIECE_VALUES) -> Iterator[torch.Tensor]:
    """Stretches of a tensor along its last axis, in order; what lies before has been let go."""
    for start in range(0, values.shape[-1], length):
        yield values[..., start : start + length]
        if values.shape[-1] > length:
            drop_page_cache()


def check_room(folder: Path | None, size_bytes: int) -> None:
    """Refuse what a folder's disk cannot hold, before hours of work.

    Args:
        folder: where files will lie, there or not yet; None: nothing will.
        size_bytes: of all of them at their most.

    Raises:
        InputError: names the folder, what is free and what is needed.
    """
    if folder is None:
        return
    found = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(found).free
    if size_bytes > free:
        raise InputError(
            f"temp folder: {folder} has {free / 1e9:.1f} GB free, but this speech and its features take "
            f"about {size_bytes / 1e9:.1f} GB there while they are encoded. Free some space, start "
            "ComfyUI with --temp-directory on another disk, or cut the sound"
        )


def drop_page_cache() -> None:
    """Give back the memory that holds what was read of mapped tensors; it is read again when needed."""
    if sys.platform != "linux":
        return
    for map_, advice in list(_MAPS.items()):
        with suppress(OSError, ValueError):  # a kernel that does not know the advice keeps the pages
            map_.madvise(advice)


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"temp folder: {folder} cannot be written ({error.strerror or error}); a long sound and its features "
        "are kept there while the run lasts. Free some space, or start ComfyUI with --temp-directory on "
        "another disk"
    )
