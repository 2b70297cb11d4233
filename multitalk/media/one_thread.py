"""How a decoded frame is converted to another format or size: by the thread that asks."""

from typing import Any

import av

THREADED_SINCE = 17
ONE_THREAD: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= THREADED_SINCE else {}
"""For `av.VideoFrame.reformat` and `to_ndarray`.

PyAV since 17 gives each frame that is converted threads of its own, one for each core, for as long as the
frame is held: 40 held frames had 80 on two cores. Other machines have more cores, and starting threads takes
time.
"""
