"""A box with keyframes, as people write it: `0s: 30%,20%,25%,40%; 4s: 50%,20%,25%,40%`."""

from dataclasses import dataclass

from ..common.errors import InputError
from ..common.mask_places import Box, parse_box
from ..common.time_text import pointed_error, read_time, skip_space
from ..windows.settings import FrameSize
from .crop import ClipBox

SOCKET = "region_box"
SLACK_PX = 0.5
"""By which a box may miss the frame's edge: percents are rounded."""

LEAST_PX = 1
"""A side of a box that is shorter covers no pixel, so that nothing of the clip could change."""

EXAMPLE = "0s: 30%,20%,25%,40%; 4s: 50%,20%,25%,40%"


@dataclass(frozen=True, slots=True)
class BoxCue:
    """Where the region is from a time on.

    Attributes:
        time_s: seconds of the clip.
        box: the region's box.
    """

    time_s: float
    box: Box


def parse_boxes(text: str) -> tuple[BoxCue, ...]:
    """Read a box with keyframes, `TIME: x,y,width,height` separated by semicolons; a lone box needs no time.

    Raises:
        InputError: it is something else, or the times do not rise; names the place.
    """
    if ";" not in text and ":" not in text:
        return (BoxCue(0.0, parse_box(text.strip(), SOCKET)),)
    cues: list[BoxCue] = []
    position = 0
    for part in text.split(";"):
        if part.strip():
            cues.append(_cue(text, position, position + len(part), cues))
        position += len(part) + 1
    if not cues:
        raise InputError(f"{SOCKET}: {text!r} holds no box. Write for instance {EXAMPLE}")
    return tuple(cues)


def _cue(text: str, start: int, end: int, before: list[BoxCue]) -> BoxCue:
    time_s, position = read_time(text, start, SOCKET)
    position = skip_space(text, position)
    if position >= end or text[position] != ":":
        raise pointed_error(SOCKET, f"expected a colon after the time, as in {EXAMPLE}", text, position)
    if before and time_s <= before[-1].time_s:
        raise pointed_error(
            SOCKET,
            f"keyframes out of order: {time_s:g} s comes after {before[-1].time_s:g} s. Write them by time",
            text,
            skip_space(text, start),
        )
    return BoxCue(time_s, parse_box(text[position + 1 : end].strip(), SOCKET))


def clip_box(cue: BoxCue, clip: FrameSize) -> ClipBox:
    """A keyframe's box in pixels of the clip.

    Raises:
        InputError: it leaves the clip's frame, or there is less than a pixel in it.
    """
    box = cue.box
    across, down = (clip.width_px / 100, clip.height_px / 100) if box.percent else (1.0, 1.0)
    left, top, width, height = box.x * across, box.y * down, box.width * across, box.height * down
    right, bottom = left + width, top + height
    leaves = min(left, top) < -SLACK_PX or right > clip.width_px + SLACK_PX
    if leaves or bottom > clip.height_px + SLACK_PX:
        raise InputError(
            f"{SOCKET}: the box at {cue.time_s:g} s leaves the picture: it reaches from {left:.0f},{top:.0f} "
            f"to {right:.0f},{bottom:.0f}, and the clip has {clip.width_px}x{clip.height_px} pixels. Move it "
            "inside, or make it smaller."
        )
    if min(width, height) < LEAST_PX:
        raise InputError(
            f"{SOCKET}: the box at {cue.time_s:g} s is {width:.2f}x{height:.2f} pixels of the clip, expected "
            f"{LEAST_PX} or more a side. Make it as large as the face."
        )
    return ClipBox(left, top, width, height)
