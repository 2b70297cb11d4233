"""One server after the other, what is run in them by `parallel_endings.py`, and what of it is left."""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import psutil
from comfy_client import Event, JobError, ServerError, TextEvent
from comfy_server import STOP_GRACE_S, ComfyServer
from ending_kinds import BROKEN, ENDED, NAMES, WELL, Ending, EndingError
from kill_runs import finished_windows, run_folders
from left_behind import Address, Before, Judge, Left, Seen, listeners, named, reachable, settled
from parallel_runs import TIMEOUT
from random_files import FileSet
from real_server import RESUMED, Timeline, run_once
from server_graph import graph_of
from server_variants import Variant
from server_watch import lines_of

PATIENT_S = 600
"""As the pack has it (nodes/host/parallel/group.py), in all servers but that of a worker that hangs."""

STEP = re.compile(r"Window (\d+) of \d+, step \d+/")
WAITING = "gpus: waiting until all workers"
WINDOW = 2
"""The one that is sampled when something happens: the first is then finished, or soon is."""

FRAMES_A_SECOND = 25
LOG_LINES, LOG_LENGTH, WORDS_LENGTH = 25, 200, 600
TOLD = ("before_sampling_s", "first_window_s", "window_s", "total_s", "video")
"""What is shown of a run that real_server.py tells more of."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds.

    Attributes:
        within_s: in which a run ends after Stop or the loss of a worker, beside what a collective waits.
        hang_s: that a collective waits where a worker hangs.
    """

    within_s: float
    hang_s: int


class Bench:
    """A server, what is run in it, and what is measured.

    Args:
        server: which was started; others follow in its folder.
        variant: of the run.
        files: that it runs on.
        limits: of time.
        before: the machine before the server.
    """

    def __init__(
        self, server: ComfyServer, variant: Variant, files: FileSet, limits: Limits, before: Before
    ) -> None:
        self.server = server
        self._variant, self._files = variant, files
        self._limits, self._before = limits, before
        self._waits_s = PATIENT_S
        self._own: set[Address] = self._listening()
        self._seen: Seen | None = None
        self._judge = Judge(variant.gpus - 1)
        self._deadline = 0.0

    def row(self, name: str, limit_s: float) -> dict[str, Any]:
        """One ending's; whatever goes wrong is in it, and leaves nothing for the next one."""
        wrong: list[str] = []
        row: dict[str, Any] = {"ending": name, "wrong": wrong}
        started = time.monotonic()
        self._deadline = started + limit_s
        try:
            ending = next((one for one in BROKEN if one.name == name), None)
            if ending is not None:
                self._break(ending, row)
            elif name == WELL:
                self._end_well(row)
            else:
                self._end_server(row)
        except TimeoutError:
            wrong.append(f"not at its end within {limit_s:.0f} s")
            self._clear()
        except Exception as error:  # noqa: BLE001  the next ending goes on
            wrong.append(f"{type(error).__name__}: {error}"[:600])
            self._clear()
        if wrong:
            with suppress(OSError):
                row["log_end"] = [line[:LOG_LENGTH] for line in lines_of(self.server.log)[-LOG_LINES:]]
        row["took_s"] = round(time.monotonic() - started, 1)
        return row

    def _clear(self) -> None:
        """End the server and all that it has started."""
        found = [self._seen]
        with suppress(psutil.Error, AssertionError):  # it has ended, or was not started
            found.append(Seen.of(self.server, self._own))
        self.server.kill()
        for seen in filter(None, found):
            seen.end()

    def _listening(self) -> set[Address]:
        return {address for address, pid in listeners() if pid == self.server.pid}

    def _ready(self, waits_s: int) -> None:
        """A server that answers, and whose collectives wait so long."""
        with suppress(ServerError):
            if self._waits_s == waits_s:
                self.server.client.system_stats()
                return
        self._restart(waits_s)

    def _restart(self, waits_s: int) -> None:
        self.server.kill()
        os.environ[TIMEOUT] = str(waits_s)
        self._waits_s = waits_s
        self.server.start()
        self._own = self._listening()

    def _graph(self, name: str) -> dict[str, Any]:
        graph = graph_of(self._variant, self._files, NAMES.index(name))
        sampler = next(node["inputs"] for node in graph.values() if node["class_type"] == "EverTalkSampler")
        sampler["filename_prefix"] = name
        return graph

    def _kept(self, name: str) -> int:
        return max((finished_windows(one) for one in run_folders(self.server, name)), default=0)

    def _left_s(self) -> float:
        return max(1.0, self._deadline - time.monotonic())

    def _run(self, graph: dict[str, Any], row: dict[str, Any]) -> list[str]:
        """A run that has to come to its end with a whole video; the texts of its nodes."""
        told: dict[str, Any] = {}
        try:
            run_once(self.server, graph, self._left_s(), told)
        finally:
            row["run"] = {name: told[name] for name in TOLD if name in told}
        video, frames = told["video"], told["summary"]["frames"]
        is_long_enough = abs(video["frames"] - self._variant.seconds * FRAMES_A_SECOND) < 1
        if not is_long_enough or video["frames"] != frames or video["last_spread"] < 1:
            row["wrong"].append(f"the video is not whole: {video}, told {frames} frames")
        return told["said"]

    def _end_well(self, row: dict[str, Any]) -> None:
        self._ready(PATIENT_S)
        self._run(self._graph(WELL), row)
        self._seen = self._look(row)
        self.server.client.forget(self._left_s())
        self._see_left(row, self._judge.freed)

    def _end_server(self, row: dict[str, Any]) -> None:
        self._ready(self._waits_s)
        if not Seen.of(self.server, self._own).workers:
            self._run(self._graph(ENDED), row)
        self._seen = self._look(row)
        started = time.monotonic()
        self.server.stop()
        row["ended_s"] = round(time.monotonic() - started, 2)
        if row["ended_s"] > STOP_GRACE_S:
            row["wrong"].append("the server did not end when it was asked to, and was killed")
        self._see_left(row, self._judge.gone)

    def _break(self, ending: Ending, row: dict[str, Any]) -> None:
        self._ready(self._limits.hang_s if ending.waits else PATIENT_S)
        graph = self._graph(ending.name)
        self._interfere(ending, graph, row)
        kept = row["windows_kept"] = self._kept(ending.name)
        judge = self._judge
        if ending.kills_server:
            self._see_left(row, judge.gone)
            self._restart(self._limits.hang_s)
        else:
            self._see_left(row, judge.none_or_all if ending.keeps_workers else judge.without_workers)
        if ending.frees:
            self.server.client.forget(self._left_s())
            self._see_left(row, judge.freed, "_freed")
        if not ending.is_early:
            self._go_on(graph, row, kept)

    def _go_on(self, graph: dict[str, Any], row: dict[str, Any], kept: int) -> None:
        """The same job once more, of which so many windows are finished."""
        said = self._run(graph, row)
        resumed = next((int(text.split()[1]) for text in said if text.startswith(RESUMED)), 0)
        row["resumed"] = resumed
        if resumed != kept or not kept:
            row["wrong"].append(f"the next run went on behind {resumed} windows; {kept} were finished")

    def _interfere(self, ending: Ending, graph: dict[str, Any], row: dict[str, Any]) -> None:
        """Act in the middle of a window, and see how the run ends."""
        acted: list[float] = []
        timeline = Timeline()

        def note(event: Event) -> None:
            timeline.note(event)
            if acted or not isinstance(event, TextEvent):
                return
            if not self._is_moment(ending, event.text):
                return
            self._seen = self._look(row)
            row["acted_at"] = event.text
            acted.append(time.monotonic())
            ending.act(self.server, self._seen)

        try:
            self.server.client.run(graph, note, timeout_s=self._left_s())
        except (JobError, ServerError, ConnectionError) as error:
            if not acted:
                raise
            row["ended_s"] = round(time.monotonic() - acted[0], 2)
            row["words"] = str(error)[:WORDS_LENGTH]
        finally:
            row["before_sampling_s"] = timeline.row(graph)["before_sampling_s"]
        if "words" not in row:
            raise EndingError("the run came to its end" + ("" if acted else ", and nothing was done to it"))
        if re.search(ending.words, row["words"]) is None:
            row["wrong"].append(f"words, expected: {ending.words}")
        # A collective that NCCL gave up says nothing: then the worker's word is waited for as long once more.
        within_s = self._limits.within_s + (2 * self._limits.hang_s if ending.waits else 0)
        if row["ended_s"] > within_s:
            row["wrong"].append(f"ended after {row['ended_s']} s, expected {within_s:g} s at most")

    def _is_moment(self, ending: Ending, text: str) -> bool:
        if ending.is_early:
            return text.startswith(WAITING)
        step = STEP.match(text)
        return step is not None and int(step[1]) >= WINDOW and self._kept(ending.name) > 0

    def _look(self, row: dict[str, Any]) -> Seen:
        """What there is while workers should be there."""
        seen = Seen.of(self.server, self._own)
        row["workers"], row["listening"] = len(seen.workers), named(seen.listening)
        if len(seen.workers) != self._variant.gpus - 1:
            row["wrong"].append(f"{len(seen.workers)} workers, expected {self._variant.gpus - 1}")
        if reachable(seen.listening):
            row["wrong"].append(f"other machines reach {', '.join(reachable(seen.listening))}")
        return seen

    def _see_left(self, row: dict[str, Any], wrong_of: Callable[[Left], list[str]], mark: str = "") -> None:
        """Put into the row what is left, and what is wrong with it."""
        seen = self._seen
        assert seen is not None
        left, wrong = settled(lambda: Left.of(seen, self.server.base, self._before), wrong_of)
        row[f"left{mark}"] = asdict(left)
        row["wrong"] += wrong
        if wrong:
            seen.end()  # for what is run next
