"""A picture that the video ends on: it stands at the end of the last window's condition.

The weights of SkyReels-V3-A2V were trained on windows that end on a still of five frames; those of the others
follow it as they follow the first picture. Source: SkyworkAI/SkyReels-V3,
skyreels_v3/pipelines/talking_avatar_pipeline.py.

Shape letters: H and W pixels, T latent frames, C channels of the mask.
"""

from dataclasses import dataclass

import torch

from ...wanvideo.geometry import TIME_STRIDE
from .plan import Window

STILL_FRAMES = 5
"""How many frames of a window the picture stands."""

ABRUPT_FRAMES = 25
"""A last window that adds fewer frames than this has no second to come to the picture in."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a window ends on.

    Attributes:
        picture_HWC: the picture, 0..1.
        frames: for how many frames, up to the window's last, it stands.
    """

    picture_HWC: torch.Tensor
    frames: int


def ending_of(window: Window, picture_HWC: torch.Tensor) -> Ending:
    """The last window's ending: the picture stands in the last frames that the video shows, and behind."""
    shown = min(STILL_FRAMES, window.new)
    return Ending(picture_HWC, window.frames - (window.skipped + window.new - shown))


def ending_notes(last: Window) -> tuple[str, ...]:
    """Says when there is little room to come to the picture."""
    if last.new >= ABRUPT_FRAMES:
        return ()
    note = (
        f"end_image: the last window adds {last.new} frames, so the video comes to it at once. Make the "
        "sound a little longer or shorter, or choose other window_frames, if that shows"
    )
    return (note,)


def unknown_mask(latents: int, known_latents: int, known_at_end: int) -> torch.Tensor:
    """Which frames of a window are to be made: (1, C, T, 1, 1), 1 for those, 0 for known ones.

    One channel where all frames of a latent are alike; else four, as Wan packs the frames of a latent: the
    first frame counts four times.

    Args:
        latents: of the window.
        known_latents: at its start.
        known_at_end: frames at its end.
    """
    by_frame = torch.ones(latents * TIME_STRIDE)
    by_frame[: known_latents * TIME_STRIDE] = 0
    if known_at_end:
        by_frame[-known_at_end:] = 0
    mask_CT = by_frame.view(latents, TIME_STRIDE).T
    return (mask_CT if known_at_end else mask_CT[:1])[None, :, :, None, None]
