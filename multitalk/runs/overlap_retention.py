"""Which windows' motion frames stay on the disk, so that a run can begin again behind them.

A run goes on behind its last window. One whose window is made again with another seed begins behind the
window before that, which may be any. Motion frames are kept without loss (43 MB a window at 832x480), so a
long run keeps those of every second, fourth, eighth ... window only: from there a few windows are made once
more, with the same result.
"""

KEPT_BYTES = 512 * 1024 * 1024
"""Of motion frames in a run's folder, beside those of the last windows."""

LAST = 2
"""With the last window's damaged, the last window is made again."""


def kept_carries(finished: int, bytes_each: int, last: int = LAST) -> frozenset[int]:
    """Indices of the windows whose motion frames are kept.

    What is dropped is dropped for good: with more windows finished, none of these is asked for again.

    Args:
        finished: how many windows have finished.
        bytes_each: size of one window's motion frames.
        last: how many of the last windows are kept in any case.
    """
    room, step = max(1, KEPT_BYTES // max(1, bytes_each)), 1
    while finished // step > room:
        step *= 2
    spaced = range(step - 1, finished, step)
    return frozenset(spaced) | frozenset(range(max(0, finished - last), finished))
