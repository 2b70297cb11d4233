"""Colours on the run's device: matched before the next window sees the frames.

Shape letters: F video frames, H and W pixels, C channels.
"""

from collections.abc import Callable

import comfy.model_management
import torch

from ....multitalk.windows.colour import CHUNK_PIXELS, match_colour
from ....multitalk.windows.finish import LookSettings
from ....multitalk.windows.plan import Window

Picture = Callable[[], torch.Tensor]
"""The first picture (H, W, 3) of the scene that plays now."""

MATCH_BYTES = 1 << 30
"""Memory that a chunk of frames and the copies in between take at most."""


def finishing(
    look: LookSettings, picture: Picture, chunk_pixels: int = CHUNK_PIXELS
) -> Callable[[Window, torch.Tensor], torch.Tensor]:
    """The last touch on a window's frames, in place: their colours matched to the scene's first picture.

    So many pixels are brought to the device at a time.
    """
    method = look.colour
    if method is None or not look.matches_colour:
        return lambda _window, frames_FHWC: frames_FHWC

    def finish(_window: Window, frames_FHWC: torch.Tensor) -> torch.Tensor:
        device = make_room()
        reference_HWC = picture().to(device)
        chunk = max(1, chunk_pixels // frames_FHWC[0, ..., 0].numel())
        # In pieces: after a decode the device has little memory to spare. In place: so has the computer.
        for piece in frames_FHWC.split(chunk):
            piece.copy_(match_colour(piece.to(device), reference_HWC, look.colour_strength, method))
        return frames_FHWC

    return finish


def make_room() -> torch.device:
    """The run's device, with enough free memory for a chunk of frames."""
    device = comfy.model_management.get_torch_device()
    comfy.model_management.free_memory(MATCH_BYTES, device)
    return device
