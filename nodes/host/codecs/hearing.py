"""How speech is heard: all of it before the first window, or window by window."""

from ....multitalk.common.errors import InputError
from ....multitalk.common.types import FPS, LiveForm, Speakers
from ....multitalk.speech.live import BUFFER_FRAMES
from ....multitalk.windows.flashtalk import WINDOWS

WHOLE, STREAM = "whole", "stream"
HEARING = {WHOLE: None, STREAM: LiveForm(WINDOWS.window_frames, WINDOWS.motion_frames)}
"""The widget's choices, and the windows that speech is heard for one by one."""

TOOLTIP = (
    f"{WHOLE}: the encoder hears all of the sound, and a little ahead of each frame; right for files. "
    f"{STREAM}: each window of FlashTalk ({WINDOWS.window_frames} frames, {WINDOWS.motion_frames} of motion) "
    f"hears the last {BUFFER_FRAMES // FPS} seconds alone and nothing of what comes after, as for sound that "
    f"is still being made."
)


def check_hearing(hearing: str, speakers: Speakers) -> None:
    """Refuse several voices where one is heard.

    Raises:
        InputError: says how many there are.
    """
    if HEARING[hearing] is not None and len(speakers.voices) > 1:
        raise InputError(
            f"hearing: {hearing} is for FlashTalk's weights, which know one voice, but there are "
            f"{len(speakers.voices)} speakers. Choose {WHOLE}, or connect one sound to audio."
        )
