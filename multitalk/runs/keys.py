"""Which windows of a run are which: a key for each, and one for the run.

A window is made of what the whole run shares, of the windows before it, and of the sound that it and its
context hear. What only the end of a run knows (its length, the sound after a window) does not enter, so that
a run whose sound grew at its end has the same keys up to there.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..common.fingerprint import chained, fingerprint
from ..common.types import CONTEXT_FRAMES
from ..speech.embeds import AudioEmbeds
from ..windows.plan import Window
from ..windows.voices import heard_by

RESULT_VERSION = 4
"""Raised whenever the same inputs give another result, so that no run goes on with older windows."""

_REACH = CONTEXT_FRAMES // 2


def window_keys(
    shared: Sequence[Any],
    own: Callable[[Window], Any],
    windows: Sequence[Window],
    embeds: AudioEmbeds,
    blend_frames: int,
) -> tuple[str, ...]:
    """The key of each window.

    Args:
        shared: all that every window is made of: weights, pictures, settings.
        own: what a window is made of beside that and its sound, such as its prompt.
        windows: the plan.
        embeds: the speech.
        blend_frames: frames of a window that wait for the next one, which the last window has not.
    """
    constants = fingerprint(RESULT_VERSION, *shared, embeds.places, blend_frames)
    keys: list[str] = []
    for window in windows:
        waits = window is not windows[-1] and blend_frames > 0
        # What only some models have enters where it is: windows without are known by what they always were.
        lead = (window.lead,) if window.lead else ()
        dropped = ("dropped", window.dropped) if window.dropped else ()
        place = (window.start, window.frames, window.motion, window.new, waits, *lead, *dropped)
        before = keys[-1] if keys else constants
        keys.append(chained(before, place, own(window), heard(embeds, window)))
    return tuple(keys)


def run_key(keys: Sequence[str], embeds: AudioEmbeds) -> str:
    """The fingerprint of a run: of its last window, and so of all, and of the sound in its file."""
    return fingerprint(keys[-1], embeds.sound, embeds.video_frames)


def heard(embeds: AudioEmbeds, window: Window) -> tuple[Any, ...]:
    """What a window and its context hear: marks of the sound, or the features where there are none."""
    start, end = max(0, window.start - _REACH), window.start + window.frames + _REACH
    activity = None if embeds.activity_SF is None else embeds.activity_SF[:, start:end]
    if embeds.marks is not None:
        return embeds.marks.maker, embeds.marks.marks_SFD[:, start:end], activity
    if embeds.live is not None or window.lead:
        return tuple(heard_by(window, track_NLC, embeds.live) for track_NLC in embeds.tracks_NLC), activity
    return tuple(track_NLC[start:end] for track_NLC in embeds.tracks_NLC), activity
