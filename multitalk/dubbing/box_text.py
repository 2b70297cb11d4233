"""A box with keyframes, as people write it: `0s: 30%,20%,25%,40%; 4s: 50%,20%,25%,40%`."""

from dataclasses import dataclass

from ..common.errors import InputError
from ..common.mask_places import Box, parse_box
from ..common.time_text import TimedText, pointed_error, read_timed
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
            entry = read_timed(text, position, position + len(part), SOCKET, EXAMPLE)
            _check_order(entry, cues, text)
            cues.append(BoxCue(entry.time_s, parse_box(entry.text, SOCKET)))
        position += len(part) + 1
    if not cues:
        raise InputError(f"{SOCKET}: {text!r} holds no box. Write for instance {EXAMPLE}")
    return tuple(cues)


def _check_order(entry: TimedText, before: list[BoxCue], text: str) -> None:
    if before and entry.time_s <= before[-1].time_s:
        raise pointed_error(
            SOCKET,
            f"keyframes out of order: {entry.time_s:g} s comes after {before[-1].time_s:g} s. Write them by "
            "time",
            text,
            entry.at,
        )


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
