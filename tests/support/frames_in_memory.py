"""How many frames of video there are in memory."""

import gc
from collections.abc import Collection

import torch

BYTES_A_VALUE = 4


def frame_tensors(height_px: int, width_px: int) -> list[torch.Tensor]:
    """All tensors of frames (F, H, W, 3) of this size."""
    shape = (height_px, width_px, 3)
    return [
        thing
        for thing in gc.get_objects()
        if type(thing) is torch.Tensor and thing.ndim == 4 and thing.shape[1:] == shape
    ]


def frames_in_memory(height_px: int, width_px: int, but: Collection[torch.Tensor] = ()) -> int:
    """Frames (F, H, W, 3) of this size in all tensors; a storage counts once, whatever views look at it.

    Those in the storages of `but`, which others left before, do not count.
    """
    storages = {
        storage.data_ptr(): storage.nbytes() // (height_px * width_px * 3 * BYTES_A_VALUE)
        for storage in (tensor.untyped_storage() for tensor in frame_tensors(height_px, width_px))
    }
    for tensor in but:
        storages.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(storages.values())
