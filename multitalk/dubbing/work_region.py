"""`work_on: region`: a part of a clip that alone is made to talk, and where it is at every time.

Shape letters: N masks, H and W pixels, C channels.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional as F

from ..common.errors import InputError
from ..media.clip_times import ClipTimes
from ..windows.settings import FrameSize
from .box_text import BoxCue
from .box_track import BoxTrack, track_of_cues, track_of_masks
from .crop import ClipBox, PixelBox, crop_box, with_context
from .region import Region, feathered

WHOLE_PICTURE, WORK_REGION = "whole picture", "region"
"""What is worked on, as people choose it."""


@dataclass(frozen=True)
class WorkRegion:
    """What of a clip is made to talk.

    Attributes:
        where: masks, one for the whole clip or one a frame of it, or a box with keyframes.
        clip: size of the clip's frame as it is seen.
        times: when the clip shows its frames.
        feather_px: width of the soft edge outside the region, in pixels of the clip.
        context: how much around the region the weights see, see crop.with_context.
        cuts_s: times at which another scene begins.
    """

    where: Region | tuple[BoxCue, ...]
    clip: FrameSize
    times: ClipTimes
    feather_px: int
    context: float
    cuts_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.where, Region):
            return
        masks, frames = len(self.where.masks_NHW), len(self.times.stamps)
        if masks > max(frames, 1):
            raise InputError(
                f"region: {masks} masks for a clip of {frames} frames. They belong to another clip or frame "
                "rate: make one mask for each frame of this clip, or a single one"
            )

    @property
    def identity(self) -> tuple[object, ...]:
        """What stands for it: all but what the clip itself tells."""
        return self.where, self.feather_px, self.context

    @cached_property
    def track(self) -> BoxTrack:
        """The region's box over the clip.

        Raises:
            InputError: a box leaves the clip's frame.
        """
        if not isinstance(self.where, Region):
            return track_of_cues(self.where, self.clip)
        masks_NHW = self.where.masks_NHW
        times_s = [self.times.time_s(number) for number in range(len(masks_NHW))]
        return track_of_masks(masks_NHW, times_s, self.clip, self.cuts_s)

    def natural_box(self, time_s: float) -> PixelBox:
        """The region with its surroundings, inside the frame, before it gets a size's shape."""
        return natural_box(self.track.at(time_s), self.context, self.clip)

    def mask_number(self, time_s: float) -> int | None:
        """Which mask belongs to a time, the last where there are no more; None: there is a box."""
        if not isinstance(self.where, Region):
            return None
        return min(self.times.frame_at(time_s), len(self.where.masks_NHW) - 1)


def natural_box(region: ClipBox, context: float, clip: FrameSize) -> PixelBox:
    """A region with its surroundings, inside a clip's frame, before it gets a size's shape."""
    wide = with_context(region, context)
    left, width = whole_pixels(wide.left, wide.width, clip.width_px)
    top, height = whole_pixels(wide.top, wide.height, clip.height_px)
    return PixelBox(left, top, width, height)


def whole_pixels(begin: float, length: float, room: int) -> tuple[int, int]:
    """The first pixel of a stretch, and how many there are inside 0..room: at least one."""
    first = round(min(max(0, begin), room - 1))
    return first, max(round(min(room, begin + length)) - first, 1)


class RegionView:
    """A region as a run of one size sees it: what is cut out of the clip, and what of that may change.

    Args:
        work: the region.
        size: at which it is made to talk.
    """

    def __init__(self, work: WorkRegion, size: FrameSize) -> None:
        self.work = work
        self.size = size
        self._aspect = size.width_px / size.height_px
        self._last: tuple[tuple[object, ...], torch.Tensor] | None = None

    def box_at(self, time_s: float) -> PixelBox:
        """What is cut out of the clip's frame at a time."""
        return crop_box(self.work.track.at(time_s), self.work.clip, self._aspect, self.work.context)

    def alpha_at(self, time_s: float) -> torch.Tensor:
        """How much of the made frame (H, W) at the run's size is shown at a time: 0 outside the region.

        1 inside it, falling over the soft edge, which ends before the crop does.
        """
        box, region, number = self.box_at(time_s), self.work.track.at(time_s), self.work.mask_number(time_s)
        asked = (box, region if number is None else number)
        if self._last is None or self._last[0] != asked:
            self._last = (asked, self._alpha(box, region, number))
        return self._last[1]

    def _alpha(self, box: PixelBox, region: ClipBox, number: int | None) -> torch.Tensor:
        if number is None or not isinstance(self.work.where, Region):
            inside_HW = rectangle(region, box, self.size)
        else:
            inside_HW = seen_of_mask(self.work.where.masks_NHW[number], self.work.clip, box, self.size)
        scale = self.size.width_px / box.width
        # A pixel less than asked for: the mask's own edge is as wide, and beyond the feather nothing changes.
        feather = max(int(self.work.feather_px * scale) - 1, 1) if self.work.feather_px else 0
        soft_HW = feathered(inside_HW, feather)
        return soft_HW * self._inside_crop(box, feather)

    def _inside_crop(self, box: PixelBox, feather: int) -> torch.Tensor:
        """Falls to 0 at those edges of the crop that lie inside the clip's frame: no seam may show there."""
        height, width, clip = self.size.height_px, self.size.width_px, self.work.clip
        down = edge_ramp(height, feather, box.top > 0, box.top + box.height < clip.height_px)
        across = edge_ramp(width, feather, box.left > 0, box.left + box.width < clip.width_px)
        return down[:, None] * across[None]


def edge_ramp(length: int, feather: int, at_begin: bool, at_end: bool) -> torch.Tensor:
    """From 0 to 1 within `feather` pixels, at least one, of those ends that are asked for; 1 elsewhere."""
    pixels = torch.arange(length, dtype=torch.float32)
    ramp = torch.ones(length)
    if at_begin:
        ramp = torch.minimum(ramp, pixels / max(feather, 1))
    if at_end:
        ramp = torch.minimum(ramp, pixels.flip(0) / max(feather, 1))
    return ramp


def rectangle(region: ClipBox, box: PixelBox, size: FrameSize) -> torch.Tensor:
    """A box (H, W) as the crop shows it: how much of each pixel it covers."""
    down = covered(region.top - box.top, region.height, size.height_px / box.height, size.height_px)
    across = covered(region.left - box.left, region.width, size.width_px / box.width, size.width_px)
    return down[:, None] * across[None]


def covered(begin: float, length: float, scale: float, pixels: int) -> torch.Tensor:
    """How much of each of some pixels a stretch covers that was measured in units of 1 / scale."""
    first = torch.arange(pixels, dtype=torch.float32)
    return ((begin + length) * scale - first).clamp(0, 1) - (begin * scale - first).clamp(0, 1)


def seen_of_mask(mask_HW: torch.Tensor, clip: FrameSize, box: PixelBox, size: FrameSize) -> torch.Tensor:
    """A mask, stretched over the clip's frame, as the crop shows it (H, W), 0..1; 0 beyond the frame."""
    x = (box.left + (torch.arange(size.width_px) + 0.5) * box.width / size.width_px) / clip.width_px
    y = (box.top + (torch.arange(size.height_px) + 0.5) * box.height / size.height_px) / clip.height_px
    grid_HW2 = torch.stack(torch.meshgrid(2 * x - 1, 2 * y - 1, indexing="xy"), dim=-1)
    mask = mask_HW.float().clamp(0, 1)[None, None]
    return F.grid_sample(mask, grid_HW2[None].float(), "bilinear", "zeros", align_corners=False)[0, 0]
