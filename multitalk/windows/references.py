"""The picture that conditions each window: one, several over time, or a slow move over them.

Shape letters: H and W pixels, C channels.
"""

from collections.abc import Callable

import torch

from .camera import CameraMove, crop_resize, progress_at, view_at
from .plan import Window
from .prompt_timeline import Keyframe, cue_at, first_new_s
from .settings import FrameSize

Reference = Callable[[Window], torch.Tensor]
"""A window's picture (H, W, 3), 0..1, at the video's size."""


def still_reference(pictures: tuple[Keyframe[torch.Tensor], ...]) -> Reference:
    """Pictures over time that already have the video's size; the same tensor as long as one holds."""
    return lambda window: cue_at(pictures, first_new_s(window)).value


def moving_reference(
    pictures: tuple[Keyframe[torch.Tensor], ...], size: FrameSize, move: CameraMove, duration_s: float
) -> Reference:
    """A camera move over pictures over time.

    Args:
        pictures: whole pictures, at their own size.
        size: of the video.
        move: what the camera does in the whole video.
        duration_s: length of the video.
    """

    def reference(window: Window) -> torch.Tensor:
        time_s = first_new_s(window)
        picture_HWC = cue_at(pictures, time_s).value
        aspect = size.height_px / size.width_px
        view = view_at(
            move, progress_at(time_s, duration_s), picture_HWC.shape[0], picture_HWC.shape[1], aspect
        )
        return crop_resize(picture_HWC, view, size.height_px, size.width_px)

    return reference
