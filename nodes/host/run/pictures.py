"""The pictures of a run: the start picture or a schedule's, still or under a camera move.

Shape letters: B batch, H and W pixels, C channels.
"""

import torch

from ....multitalk.common.types import FPS
from ....multitalk.windows.camera import CameraMove
from ....multitalk.windows.picture import checked_picture
from ....multitalk.windows.prompt_timeline import Keyframe
from ....multitalk.windows.references import Reference, moving_reference, still_reference
from ....multitalk.windows.settings import FrameSize
from .windowed_run import fit_picture


def reference_of(
    start_image_BHWC: torch.Tensor,
    scheduled: tuple[Keyframe[torch.Tensor], ...],
    size: FrameSize,
    move: CameraMove,
    video_frames: int,
) -> Reference:
    """Each window's picture.

    Raises:
        InputError: the start picture is no picture.
    """
    picture_HWC, _ = checked_picture(start_image_BHWC)
    pictures = scheduled or (Keyframe(0.0, picture_HWC),)
    if not move.is_still:
        return moving_reference(pictures, size, move, video_frames / FPS)
    fitted = tuple(Keyframe(cue.start_s, fit_picture(cue.value[None], size)[0]) for cue in pictures)
    return still_reference(fitted)
