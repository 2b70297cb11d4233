"""Runs in a real server that is watched meanwhile: memory, threads and open files, early and late. Linux."""

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
from comfy_client import Event, TextEvent
from comfy_server import ComfyServer
from kill_runs import prepare

EDGE = 20
"""Windows at the beginning and at the end of a run whose samples are compared."""

SAMPLE_S = 1.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds.

    Attributes:
        rss_mb: resident memory, with what the system keeps of mapped files and libraries.
        anon_mb: the part of it that belongs to no file: what the system could not drop.
        threads: number of threads.
        files: number of open files and sockets.
    """

    rss_mb: float
    anon_mb: float
    threads: int
    files: int

    @classmethod
    def of(cls, looks: Iterable["Look"]) -> "Footprint":
        """The mean memory, and the most threads and files, of some looks at a process."""
        all_looks = list(looks)
        rss_mb, anon_mb = (
            round(sum(getattr(one, name) for one in all_looks) / len(all_looks), 1)
            for name in ("rss_mb", "anon_mb")
        )
        threads, files = (max(getattr(one, name) for one in all_looks) for name in ("threads", "files"))
        return cls(rss_mb, anon_mb, threads, files)


@dataclass(frozen=True, slots=True)
class Look(Footprint):
    """A process at one moment.

    Attributes:
        cpu_s: seconds of a processor so far.
        written_mb: handed to the system to be written so far.
        peak_rss_mb: the most resident memory so far, as the kernel counted it.
    """

    cpu_s: float
    written_mb: float
    peak_rss_mb: float

    @classmethod
    def at(cls, pid: int) -> "Look":
        """The process now."""
        process = Path(f"/proc/{pid}")
        times = (process / "stat").read_text().rpartition(")")[2].split()
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        written = dict(line.split(": ") for line in (process / "io").read_text().splitlines())["wchar"]
        rss_mb, anon_mb, peak_rss_mb = (
            int(status[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "RssAnon", "VmHWM")
        )
        return cls(
            rss_mb=rss_mb,
            anon_mb=anon_mb,
            threads=int(status["Threads"]),
            files=len(os.listdir(process / "fd")),  # noqa: PTH208  # a number, and no paths
            cpu_s=(int(times[11]) + int(times[12])) / CLOCK_TICKS,
            written_mb=int(written) / 1e6,
            peak_rss_mb=peak_rss_mb,
        )


class Watch:
    """Looks at a server's process every second; use it as a context manager around a run.

    Attributes:
        window: the window in the making, from 1; 0 before the first.
        samples: the window and the process at each moment.
    """

    def __init__(self, server: ComfyServer) -> None:
        self._pid = server.pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.window = 0
        self.samples: list[tuple[int, Look]] = []

    def note(self, event: Event) -> None:
        """Read the window in the making from what the server tells."""
        if isinstance(event, TextEvent) and event.text.startswith("Window "):
            self.window = int(event.text.split()[1])

    def _sample(self) -> None:
        while not self._end.wait(SAMPLE_S):
            self.samples.append((self.window, Look.at(self._pid)))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def figures(self) -> dict[str, Any]:
        """What each report says of the samples: windows, peaks, and the first and last EDGE windows."""
        made = [(window, look) for window, look in self.samples if window]
        windows, last = made[-1]
        return {
            "windows": windows,
            "peak_rss_mb": round(last.peak_rss_mb, 1),
            "peak_anon_mb": round(max(look.anon_mb for _, look in self.samples), 1),
            "first": Footprint.of(look for window, look in made if window <= EDGE),
            "last": Footprint.of(look for window, look in made if window > windows - EDGE),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a run took, in a server of its own.

    Attributes:
        minutes: of video, or of the clip.
        frames: of the video, counted in the file.
        windows: how many.
        seconds: wall time.
        peak_rss_mb: the most resident memory, as the kernel counted it.
        peak_anon_mb: the most memory that belongs to no file, at any sample.
        first, last: the first and the last EDGE windows.
    """

    minutes: float
    frames: int
    windows: int
    seconds: float
    peak_rss_mb: float
    peak_anon_mb: float
    first: Footprint
    last: Footprint


def short_and_long(
    comfyui: Path, short: float, long: float, run: Callable[[ComfyServer, float], Report]
) -> None:
    """Make runs of few and of many minutes; print their reports, and how much more memory the long one took.

    `run` makes so many minutes in a fresh server with the tiny models.
    """
    reports: list[Report] = []
    for minutes in (short, long):
        with tempfile.TemporaryDirectory() as folder, ComfyServer(comfyui, Path(folder)) as server:
            prepare(server)
            reports.append(run(server, minutes))
            print(json.dumps(asdict(reports[-1])), flush=True)
    names = ("peak_rss", "peak_anon")
    few, many = ({name: getattr(one, f"{name}_mb") for name in names} for one in reports)
    print(json.dumps({f"{name}_grown_mb": round(many[name] - few[name], 1) for name in names}), flush=True)


def frames_in(video: Path) -> int:
    """Frames of a video, counted in the file."""
    with av.open(str(video)) as container:
        return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
