"""Where a clip cuts to another scene, found by PySceneDetect.

Shape letters: H height, W width; the last axis of frames is blue, green, red.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import av
from numpy.typing import NDArray

from .frame_reader import FrameReader
from .types import FPS

CONTENT_THRESHOLD = 27.0
"""PySceneDetect's own default: mean change of hue, saturation and brightness, of 255, that makes a cut."""

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

    detector = ContentDetector(threshold=threshold, min_scene_len=round(MIN_SCENE_S * TICKS_PER_S))
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


def small_bgr(frame: av.VideoFrame) -> NDArray[Any]:
    """A decoded frame as (H, W, 3), 8 bits, no wider than LOOK_WIDTH_PX."""
    scale = max(1.0, frame.width / LOOK_WIDTH_PX)
    width_px, height_px = round(frame.width / scale), max(1, round(frame.height / scale))
    return frame.reformat(width=width_px, height=height_px, format="bgr24", interpolation="AREA").to_ndarray()


def cut_frames(cuts_s: Sequence[float], start_s: float) -> tuple[int, ...]:
    """The first frame of each scene in a video that begins at `start_s` of the clip; rising, above 0."""
    frames = {math.ceil((cut_s - start_s) * FPS - ROUNDING) for cut_s in cuts_s}
    return tuple(sorted(frame for frame in frames if frame > 0))
