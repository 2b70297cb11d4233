"""What a person sees of the speakers before anything is computed: their places over the picture, and notes.

Shape letters: H and W pixels, C channels; values 0..1.
"""

import torch

from ..common.errors import InputError
from ..common.size_buckets import Size, bucket_for
from ..common.types import Speakers
from .mask_preview import draw_masks
from .masks import make_speaker_masks
from .places import canvas_of, frames_at, masks_at

GREY = 0.5
"""Of the canvas that stands for a picture that is not connected."""


def preview_speakers(
    speakers: Speakers, picture_HWC: torch.Tensor | None
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """The picture with the speakers' places at the video's begin drawn in, and all that is to be said.

    Masks are looked at on the grid of the trained 480p size nearest to the picture's shape; the sampler looks
    again, on the video's own. Without a picture the places are drawn on a grey canvas.

    Raises:
        InputError: a box covers no pixel of the picture.
    """
    size = canvas_of(speakers.places) if picture_HWC is None else Size(*picture_HWC.shape[:2])
    if picture_HWC is None:
        picture_HWC = torch.full((*size, 3), GREY)
    if len(speakers.names) == 1:
        return picture_HWC, speakers.notes
    video = bucket_for(*size, "480p")
    frames, lost = frames_at(speakers.places, size, video, 0)
    masks_SHW, resized = masks_at(speakers.places, len(speakers.names), size, frames)
    try:
        found = make_speaker_masks(masks_SHW, len(speakers.names), *video).notes
    except InputError as error:  # at another size it may be well; the sampler knows
        found = (f"At {video.width_px}x{video.height_px}: {error}",)
    return draw_masks(picture_HWC, masks_SHW, speakers.names), (*speakers.notes, *lost, *resized, *found)
