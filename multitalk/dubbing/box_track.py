"""Where a region is at every time of a clip: from keyframes, or followed by masks, smoothed.

Shape letters: K keyframes, N masks, H and W pixels; 4 is a box: left, top, width, height.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..common.mask_places import INSIDE
from ..windows.settings import FrameSize
from .box_text import BoxCue, clip_box
from .crop import ClipBox

Floats = NDArray[np.float64]

MEDIAN_FRAMES = 5
"""A detector that is wrong for one or two frames does not move the box."""

SMOOTH_S = 0.5
"""A box is the mean of those this much before and after it, the nearer the more: faces do not tremble."""


@dataclass(frozen=True, slots=True)
class BoxTrack:
    """A region's box over a clip. Between keyframes it moves evenly; at a cut it may jump, nowhere else.

    Attributes:
        times_s: of the keyframes, seconds of the clip; rising.
        boxes_K4: their boxes in pixels of the clip.
        cuts_s: times at which another scene begins, across which nothing moves.
    """

    times_s: Floats
    boxes_K4: Floats
    cuts_s: tuple[float, ...] = ()

    def at(self, time_s: float) -> ClipBox:
        """The box at a time; before the first keyframe and behind the last one it stays."""
        scene = int(np.searchsorted(self.cuts_s, time_s, side="right"))
        edges = (-np.inf, *self.cuts_s, np.inf)
        begin, end = np.searchsorted(self.times_s, (edges[scene], edges[scene + 1]))
        if begin == end:  # a scene without a keyframe: where the region was last, or first is
            begin, end = 0, len(self.times_s)
        times_s = self.times_s[begin:end]
        return ClipBox(*(float(np.interp(time_s, times_s, side)) for side in self.boxes_K4[begin:end].T))


def track_of_cues(cues: Sequence[BoxCue], clip: FrameSize) -> BoxTrack:
    """The track of a box with keyframes.

    Raises:
        InputError: a box leaves the clip's frame.
    """
    times_s = np.array([cue.time_s for cue in cues], np.float64)
    return BoxTrack(times_s, np.array([clip_box(cue, clip) for cue in cues], np.float64))


def track_of_masks(
    masks_NHW: torch.Tensor, times_s: Sequence[float], clip: FrameSize, cuts_s: tuple[float, ...] = ()
) -> BoxTrack:
    """The boxes around masks, smoothed within each scene; an empty mask is bridged from those beside it.

    Args:
        masks_NHW: inside from INSIDE on, stretched over the clip's frame. At least one is not empty.
        times_s: of the masks, rising.
        clip: size of the clip's frame.
        cuts_s: times at which another scene begins.
    """
    scale = np.array((clip.width_px / masks_NHW.shape[2], clip.height_px / masks_NHW.shape[1]) * 2)
    found = [box_around(mask_HW) for mask_HW in masks_NHW]
    known = [number for number, box in enumerate(found) if box is not None]
    times = np.array([times_s[number] for number in known], np.float64)
    boxes_K4 = np.array([found[number] for number in known], np.float64) * scale
    smooth_K4 = np.empty_like(boxes_K4)
    edges = np.searchsorted(times, (-np.inf, *cuts_s, np.inf))
    for begin, end in pairwise(edges):
        smooth_K4[begin:end] = smoothed(times[begin:end], boxes_K4[begin:end])
    return BoxTrack(times, smooth_K4, cuts_s)


def box_around(mask_HW: torch.Tensor) -> tuple[int, int, int, int] | None:
    """Left, top, width and height of what is inside a mask, in its own pixels; None: nothing is."""
    inside_HW = mask_HW >= min(INSIDE, float(mask_HW.max()) or INSIDE)
    rows, columns = inside_HW.any(dim=1).nonzero(), inside_HW.any(dim=0).nonzero()
    if len(rows) == 0:
        return None
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def smoothed(times_s: Floats, boxes_K4: Floats) -> Floats:
    """Boxes without outliers, each the mean of its neighbours in time."""
    if len(times_s) == 0:
        return boxes_K4
    centred_K4 = boxes_K4.copy()
    centred_K4[:, :2] += boxes_K4[:, 2:] / 2  # a box that breathes does not sway
    reach = MEDIAN_FRAMES // 2
    padded_K4 = np.pad(centred_K4, ((reach, reach), (0, 0)), mode="edge")
    calm_K4: Floats = np.median(
        np.lib.stride_tricks.sliding_window_view(padded_K4, MEDIAN_FRAMES, 0), axis=-1
    )
    result_K4: NDArray[Any] = np.empty_like(calm_K4)
    begins = np.searchsorted(times_s, times_s - SMOOTH_S)
    ends = np.searchsorted(times_s, times_s + SMOOTH_S, side="right")
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        weights = 1 + np.cos(np.pi * (times_s[begin:end] - times_s[number]) / SMOOTH_S)
        result_K4[number] = (weights @ calm_K4[begin:end]) / weights.sum()
    result_K4[:, :2] -= result_K4[:, 2:] / 2
    return result_K4
