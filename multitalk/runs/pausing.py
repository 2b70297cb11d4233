"""When a run stops by itself between two windows, so that somebody can look at what there is."""

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pausing:
    """Says after which windows a run pauses.

    Windows are counted as the video has them, so that a run that goes on, or has a window made again, pauses
    where it would have paused before.

    Attributes:
        after: pause after every so many windows; 0 for never.
        window: index of the window that is being made, for those who look on from other threads.
    """

    after: int = 0
    window: int = 0
    _asked: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Pause after the window that is being made; from any thread."""
        self._asked.set()

    def is_due(self, index: int) -> bool:
        """Whether the run pauses after this window, which has just been made."""
        return self._asked.is_set() or (self.after > 0 and (index + 1) % self.after == 0)


def paused_text(done: int, planned: int) -> str:
    """What a paused run says: windows that are finished, and of how many."""
    return f"paused after window {done} of {planned}; queue again to go on"
