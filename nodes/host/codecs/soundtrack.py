"""The socket `soundtrack`: what is heard in the video in place of the speech."""

from dataclasses import replace
from typing import Any

from ....multitalk.common.types import Waveform
from ....multitalk.speech.embeds import AudioEmbeds
from ....multitalk.speech.soundtrack import as_long_as
from ..report.progress import warn_on_node
from .sound import temp_folder, waveform_of

NAME = "soundtrack"

NOT_CONNECTED: Any = object()
"""None is what a node gives that has no sound: it is refused, not ignored."""

TOOLTIP = (
    "Heard in the video in place of the speech: the recording with its music, while the separated voice in "
    "audio or speakers moves the lips. It is as long as the speech: what is longer is cut off, what is "
    "shorter is followed by silence."
)


def chosen_soundtrack(soundtrack: object) -> Waveform | None:
    """The sound at the socket, if something is connected.

    Raises:
        InputError: the node before gives no sound, or one that cannot be played.
    """
    return None if soundtrack is NOT_CONNECTED else waveform_of(soundtrack, NAME)


def with_soundtrack(embeds: AudioEmbeds, speech: Waveform, soundtrack: Waveform | None) -> AudioEmbeds:
    """Encoded speech whose video is heard with the soundtrack, if there is one; says how that was fitted."""
    if soundtrack is None:
        return embeds
    sound = as_long_as(speech, soundtrack, temp_folder())
    for note in sound.notes:
        warn_on_node(note)
    return replace(embeds, sound=sound)
