"""Where a clip cuts to another scene, found by PySceneDetect, with a measure of its own for colours.

PySceneDetect takes hue for a number from 0 to 179, and red lies at both ends: the noise of a still red
backdrop counts as a change of all colours, and a cut from a red room to a green one as a third of that. Here
hue is a circle, and counts as far as there is colour at all.

Shape letters: H height, W width; the last axis of frames is blue, green, red.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ..common.types import FPS
from ..media.frame_reader import FrameReader
from ..media.one_thread import ONE_THREAD

CONTENT_THRESHOLD = 27.0
"""PySceneDetect's own default: mean change of hue, saturation and value that makes a cut."""

HUES = 180
"""OpenCV's hues of 8-bit pictures: steps of two degrees."""

FULL_COLOUR = 64.0
"""Chroma, of 255, from which on a pixel's hue counts in full: below, it is mostly noise."""

MIN_SCENE_S = 0.6
"""PySceneDetect's own default, 15 frames, at 25 frames a second: shorter scenes are flashes, and merged."""

LOOK_WIDTH_PX = 256
"""Frames are looked at this small, as PySceneDetect does itself: a cut shows, noise does not."""

TICKS_PER_S = 1000
"""PySceneDetect counts frames. It is given milliseconds instead, so that a variable rate counts by time."""

ROUNDING = 1e-6
"""Part of a video frame by which a time may miss the frame that it stands for."""


def find_cuts(
    reader: FrameReader, threshold: float = CONTENT_THRESHOLD, on_frame: Callable[[float], None] | None = None
) -> tuple[float, ...]:
    """Times, in seconds, from which the clip shows the scenes after the first; rising.

    Args:
        reader: of the clip. One frame after the other is looked at; none is kept.
        threshold: how great a change is a cut.
        on_frame: told each frame's time in seconds; may raise to stop.
    """
    from scenedetect import ContentDetector, FrameTimecode  # noqa: PLC0415  # brings OpenCV: only when used

    class ColourDetector(ContentDetector):
        """PySceneDetect's detector of cuts, with change_of in place of its own measure."""

        before_HWC: NDArray[Any] | None = None

        def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: NDArray[Any]) -> float:
            del timecode
            now_HWC = hue_saturation_value(frame_img)
            before_HWC, self.before_HWC = self.before_HWC, now_HWC
            return 0.0 if before_HWC is None else change_of(before_HWC, now_HWC)

    detector = ColourDetector(threshold=threshold, min_scene_len=round(MIN_SCENE_S * TICKS_PER_S))
    cuts: list[FrameTimecode] = []
    times_s: dict[int, float] = {}
    ticks = FrameTimecode(0, float(TICKS_PER_S))
    for time_s, frame in reader.frames_from_start():
        if on_frame is not None:
            on_frame(time_s)
        ticks = FrameTimecode(max(0, round(time_s * TICKS_PER_S)), float(TICKS_PER_S))
        times_s[ticks.frame_num] = time_s
        cuts += detector.process_frame(ticks, small_bgr(frame))
    cuts += detector.post_process(ticks)
    return tuple(sorted({times_s[cut.frame_num] for cut in cuts}))


def hue_saturation_value(frame_HWC: NDArray[Any]) -> NDArray[Any]:
    """A picture (H, W, 3) of blue, green and red as hue (0 to 179), saturation and value, float32."""
    import cv2  # noqa: PLC0415  # only when used

    return cv2.cvtColor(frame_HWC, cv2.COLOR_BGR2HSV).astype(np.float32)


def change_of(before_HWC: NDArray[Any], now_HWC: NDArray[Any]) -> float:
    """How much one picture of hue_saturation_value differs from another, as the threshold counts.

    The mean change of hue, saturation and value; opposite hues count 180.
    """
    apart_HW, saturation_HW, value_HW = np.moveaxis(np.abs(now_HWC - before_HWC), -1, 0)
    angle_HW = 2 * np.minimum(apart_HW, HUES - apart_HW)
    chroma_HW = np.minimum(*(each[..., 1] * each[..., 2] / 255 for each in (before_HWC, now_HWC)))
    hue_HW = angle_HW * np.minimum(1, chroma_HW / FULL_COLOUR)
    return float((hue_HW + saturation_HW + value_HW).mean() / 3)


def small_bgr(frame: av.VideoFrame) -> NDArray[Any]:
    """A decoded frame as (H, W, 3), 8 bits, no wider than LOOK_WIDTH_PX."""
    scale = max(1.0, frame.width / LOOK_WIDTH_PX)
    width_px, height_px = round(frame.width / scale), max(1, round(frame.height / scale))
    small = frame.reformat(
        width=width_px, height=height_px, format="bgr24", interpolation="AREA", **ONE_THREAD
    )
    return small.to_ndarray()


def cut_frames(cuts_s: Sequence[float], start_s: float) -> tuple[int, ...]:
    """The first frame of each scene in a video that begins at `start_s` of the clip; rising, above 0."""
    frames = {math.ceil((cut_s - start_s) * FPS - ROUNDING) for cut_s in cuts_s}
    return tuple(sorted(frame for frame in frames if frame > 0))
