"""Where a long sound may be cut: in pauses, on a frame of the video."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FPS = 25
"""EverTalk's frames a second; a part must be a whole number of them."""

MIN_PAUSE_S = 0.6
SPEECH_PERCENTILE = 95
BELOW_SPEECH_DB = 35.0
SILENT_DB = -60.0
"""A level below this is silence, however quiet the speech."""

Levels = npt.NDArray[np.float64]


def pause_middles(levels_db: Levels) -> list[int]:
    """The frames in the middle of each pause of at least MIN_PAUSE_S inside a sound.

    Args:
        levels_db: level of each frame's sound, in dB of full scale.
    """
    if len(levels_db) == 0:
        return []
    threshold_db = max(SILENT_DB, float(np.percentile(levels_db, SPEECH_PERCENTILE)) - BELOW_SPEECH_DB)
    quiet = np.concatenate([[False], levels_db < threshold_db, [False]])
    edges = np.flatnonzero(quiet[1:] != quiet[:-1])
    pauses = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [
        (begin + end) // 2
        for begin, end in pauses
        if end - begin >= MIN_PAUSE_S * FPS and begin > 0 and end < len(levels_db)
    ]


def choose_cuts(middles: Sequence[int], num_frames: int, part_frames: int) -> list[int]:
    """Cuts that make parts of at most `part_frames`, as far as there are pauses for it.

    A part ends at the last pause that it reaches; where there is none it goes on to the next one.
    """
    cuts: list[int] = []
    start = 0
    while num_frames - start > part_frames:
        ahead = [middle for middle in middles if middle > start]
        if not ahead:
            break
        reached = [middle for middle in ahead if middle - start <= part_frames]
        start = reached[-1] if reached else ahead[0]
        cuts.append(start)
    return cuts
