"""How many frames of video there are in memory."""

import gc

import torch

BYTES_A_VALUE = 4


def frames_in_memory(height_px: int, width_px: int) -> int:
    """Frames (F, H, W, 3) of this size in all tensors; a storage counts once, whatever views look at it."""
    storages: dict[int, int] = {}
    for thing in gc.get_objects():
        if type(thing) is torch.Tensor and thing.ndim == 4 and thing.shape[1:] == (height_px, width_px, 3):
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes() // (height_px * width_px * 3 * BYTES_A_VALUE)
    return sum(storages.values())
