"""A decoded frame in another format or size."""

from typing import Any

import av

THREADED_SINCE = 17
_ONE_THREAD = {"threads": 1} if int(av.__version__.split(".")[0]) >= THREADED_SINCE else {}


def reformatted(frame: av.VideoFrame, **wanted: Any) -> av.VideoFrame:
    """The frame as wanted, converted by the thread that asks.

    PyAV since 17 gives each frame that is converted threads of its own, one for each core, for as long as
    the frame is held: 40 held frames had 80 on two cores. Other machines have more cores, and starting
    threads for each frame takes time.

    Args:
        frame: of any format.
        wanted: what `av.VideoFrame.reformat` takes.
    """
    return frame.reformat(**wanted, **_ONE_THREAD)
