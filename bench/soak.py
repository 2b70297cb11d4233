"""A long run in a real server with the demo's tiny models: is it flat in memory, threads and open files?

    python bench/soak.py --comfyui .cache/ComfyUI --minutes 10

Runs one minute and then --minutes, each in a server of its own, samples the server's process every second,
and prints one JSON line for each run and the difference between them. `make soak` calls it. Linux.
"""

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import av
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests")]

from comfy_client import Event, TextEvent  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402
from kill_runs import prepare, tiny_run, write_speech  # noqa: E402

EDGE = 20
"""Windows at the beginning and at the end of a run whose samples are compared."""

LOAD_AUDIO, LOAD_SPEECH = "LoadAudio", "EverTalkLoadSpeech"

_FIGURE = re.compile(r"^(VmHWM|VmRSS|RssAnon):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's process at one moment.

    Attributes:
        window: the window in the making, from 1; 0 before the first.
        rss_mb: resident memory, with what the system keeps of mapped files and libraries.
        anon_mb: the part of it that belongs to no file: what the system could not drop.
        threads: number of threads.
        files: number of open files and sockets.
    """

    window: int
    rss_mb: float
    anon_mb: float
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Edge:
    """Some windows at one end of a run.

    Attributes:
        rss_mb, anon_mb: mean memory.
        threads, files: the most of them.
    """

    rss_mb: float
    anon_mb: float
    threads: int
    files: int

    @classmethod
    def of(cls, samples: list[Sample]) -> "Edge":
        """The figures of these samples."""
        rss_mb = sum(sample.rss_mb for sample in samples) / len(samples)
        anon_mb = sum(sample.anon_mb for sample in samples) / len(samples)
        threads, files = (max(getattr(one, name) for one in samples) for name in ("threads", "files"))
        return cls(round(rss_mb, 1), round(anon_mb, 1), threads, files)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run took, in a server of its own.

    Attributes:
        minutes: of video.
        windows: how many.
        seconds: wall time.
        seconds_before: of it, before the first window was done: loading and encoding.
        peak_rss_mb: the most resident memory, as the kernel counted it.
        peak_anon_mb: the most memory that belongs to no file, at any sample.
        first, last: the first and the last EDGE windows.
        video_mb: size of the video.
        frames: of it, counted in the file.
    """

    minutes: float
    windows: int
    seconds: float
    seconds_before: float
    peak_rss_mb: float
    peak_anon_mb: float
    first: Edge
    last: Edge
    video_mb: float
    frames: int


class Watch:
    """Samples the server's process every second; use it as a context manager around a run."""

    def __init__(self, server: ComfyServer) -> None:
        port = int(server.client.address.rsplit(":", 1)[1])
        self._process = next(
            process
            for process in psutil.process_iter(["cmdline"])
            if str(port) in (process.info["cmdline"] or []) and "main.py" in " ".join(process.info["cmdline"])
        )
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.window = 0
        self.samples: list[Sample] = []
        self.peak_rss_mb = 0.0

    def note(self, event: Event) -> None:
        """Read the window in the making from what the server tells."""
        if isinstance(event, TextEvent) and event.text.startswith("Window "):
            self.window = int(event.text.split()[1])

    def _sample(self) -> None:
        while not self._end.wait(1):
            status = Path(f"/proc/{self._process.pid}/status").read_text()
            figures = {name: int(number) * 1024 / 1e6 for name, number in _FIGURE.findall(status)}
            self.peak_rss_mb = figures["VmHWM"]
            threads, files = self._process.num_threads(), self._process.num_fds()
            self.samples.append(Sample(self.window, figures["VmRSS"], figures["RssAnon"], threads, files))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def figures(self) -> dict[str, Any]:
        """What each report says of the samples: windows, peaks, and the first and last EDGE windows."""
        made = [sample for sample in self.samples if sample.window]
        windows = made[-1].window
        return {
            "windows": windows,
            "peak_rss_mb": round(self.peak_rss_mb, 1),
            "peak_anon_mb": round(max(sample.anon_mb for sample in self.samples), 1),
            "first": Edge.of([sample for sample in made if sample.window <= EDGE]),
            "last": Edge.of([sample for sample in made if sample.window > windows - EDGE]),
        }


class Peaks(Protocol):
    """Of a report: the most memory in all, and that belongs to no file."""

    @property
    def peak_rss_mb(self) -> float: ...
    @property
    def peak_anon_mb(self) -> float: ...


def growth(short: Peaks, long: Peaks) -> dict[str, float]:
    """How much more memory the long run took."""
    return {
        "peak_rss_grown_mb": round(long.peak_rss_mb - short.peak_rss_mb, 1),
        "peak_anon_grown_mb": round(long.peak_anon_mb - short.peak_anon_mb, 1),
    }


def watched_run(server: ComfyServer, minutes: float, side_px: int, loader: str) -> Report:
    """Make a square video of so many minutes."""
    write_speech(server, minutes * 60)
    widgets = {"width": side_px, "height": side_px, "window_frames": 81, "motion_frames": 9, "steps": 1}
    workflow = tiny_run(minutes * 60, f"soak_{minutes:g}", **widgets)
    for node in workflow.values():
        node["class_type"] = loader if node["class_type"] == LOAD_AUDIO else node["class_type"]
    started_s = time.monotonic()
    with Watch(server) as watch:
        server.client.run(workflow, watch.note, timeout_s=24 * 3600)
    seconds = time.monotonic() - started_s
    (video,) = server.output.glob(f"soak_{minutes:g}_0*.mp4")
    return Report(
        minutes=minutes,
        seconds=round(seconds, 1),
        seconds_before=float(sum(not sample.window for sample in watch.samples)),
        **watch.figures(),
        video_mb=round(video.stat().st_size / 1e6, 1),
        frames=frames_in(video),
    )


def frames_in(video: Path) -> int:
    """Frames of a video, counted in the file."""
    with av.open(str(video)) as container:
        return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--side", type=int, default=32, help="of the square video, in pixels")
    parser.add_argument("--loader", choices=(LOAD_SPEECH, LOAD_AUDIO), default=LOAD_SPEECH)
    arguments = parser.parse_args()
    reports: list[Report] = []
    for minutes in (1, arguments.minutes):
        with tempfile.TemporaryDirectory() as folder, ComfyServer(arguments.comfyui, Path(folder)) as server:
            prepare(server)
            reports.append(watched_run(server, minutes, arguments.side, arguments.loader))
            print(json.dumps(asdict(reports[-1])), flush=True)
    print(json.dumps(growth(*reports)), flush=True)


if __name__ == "__main__":
    main()
