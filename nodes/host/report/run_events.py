"""Tells the browser how far a run's files are: windows on the disk, and how the run ended."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from comfy.model_management import InterruptProcessingException

from ....multitalk.runs.manifest import WindowRecord, WindowStats
from ....multitalk.runs.store import RunStore
from ....multitalk.windows.film_chart import figures_of, film_chart
from ....multitalk.windows.plan import Window
from ....multitalk.windows.prompt_timeline import first_new_s
from ....multitalk.windows.report import WindowReport
from .events import NodeEvents, RunEvent, ShownFile

PLAYABLE = ".mp4"
"""Of the segments that a browser plays."""


class RunEventSender:
    """Sends the events of one run's store. Made on the thread that the node runs on; called from any.

    Args:
        windows: the plan.
    """

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = windows
        self._events = NodeEvents()

    def window_written(self, record: WindowRecord, segment: Path | None) -> None:
        """A window is finished; its segment plays, unless its frames wait for the next window."""
        window, stats = self._windows[record.index], record.stats
        report = WindowReport(record.index, stats.drift or 0.0, stats.seam, stats.seconds)
        self._events.send(
            RunEvent(
                "window",
                len(self._windows),
                record.index,
                start_s=first_new_s(window),
                text=str(report),
                path=ShownFile.of(segment) if segment and segment.suffix == PLAYABLE else None,
            )
        )

    @contextmanager
    def ending(self, store: RunStore) -> Generator[None]:
        """Tells how the block ended, and what of the video can be played now."""
        try:
            yield
        except InterruptProcessingException:
            self._end("paused", store, "")
            raise
        except Exception as error:
            self._end("failed", store, str(error))
            raise
        self._end("done" if store.final else "paused", store, "")

    def _end(self, kind: Literal["done", "paused", "failed"], store: RunStore, text: str) -> None:
        path = ShownFile.of(store.final or store.incomplete)
        done = told_windows(self._windows, store.stats)
        chart = film_chart(figures_of(done))
        self._events.send(RunEvent(kind, len(self._windows), len(done), text=text, path=path, chart=chart))


def told_windows(windows: Sequence[Window], done: Sequence[WindowStats]) -> list[dict[str, Any]]:
    """Figures of the finished windows, as the sampler's result tells them."""
    return [
        {"index": window.index, "start_s": first_new_s(window), **asdict(stats)}
        for window, stats in zip(windows, done, strict=False)
    ]
