"""The pictures of a run: the start picture or a schedule's, still or under a camera move.

Shape letters: B batch, H and W pixels, C channels.
"""

import torch

from ...multitalk.camera import CameraMove
from ...multitalk.picture import checked_picture
from ...multitalk.references import Reference, moving_reference, still_reference
from ...multitalk.run_schedule import Cue
from ...multitalk.run_settings import FrameSize
from ...multitalk.types import FPS
from .run import fit_picture


def reference_of(
    start_image_BHWC: torch.Tensor,
    scheduled: tuple[Cue[torch.Tensor], ...],
    size: FrameSize,
    move: CameraMove,
    video_frames: int,
) -> Reference:
    """Each window's picture.

    Raises:
        InputError: the start picture is no picture.
    """
    picture_HWC, _ = checked_picture(start_image_BHWC)
    pictures = scheduled or (Cue(0.0, picture_HWC),)
    if not move.is_still:
        return moving_reference(pictures, size, move, video_frames / FPS)
    fitted = tuple(Cue(cue.start_s, fit_picture(cue.value[None], size)[0]) for cue in pictures)
    return still_reference(fitted)
