"""A long run in a real server with the demo's tiny models: is it flat in memory, threads and open files?

    python bench/soak.py --comfyui .cache/ComfyUI --minutes 10

Runs one minute and then --minutes, samples the server's process every second while windows are made, and
prints one JSON line for each run and the difference between them. `make soak` calls it.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests")]

from comfy_client import Event, TextEvent  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402
from kill_runs import prepare, tiny_run, write_speech  # noqa: E402

EDGE = 20
"""Windows at the beginning and at the end of a run whose samples are compared."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's process at one moment.

    Attributes:
        window: the window in the making, from 1.
        rss_mb: memory.
        threads: number of threads.
        files: number of open files and sockets.
    """

    window: int
    rss_mb: float
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a run took.

    Attributes:
        minutes: of video.
        windows: how many.
        seconds: wall time.
        peak_rss_mb: the most memory at any sample.
        first_rss_mb, last_rss_mb: mean over the first and the last windows.
        first_threads, last_threads: the most threads there.
        first_files, last_files: the most open files there.
        video_mb: size of the video.
    """

    minutes: float
    windows: int
    seconds: float
    peak_rss_mb: float
    first_rss_mb: float
    last_rss_mb: float
    first_threads: int
    last_threads: int
    first_files: int
    last_files: int
    video_mb: float


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

    def note(self, event: Event) -> None:
        """Read the window in the making from what the server tells."""
        if isinstance(event, TextEvent) and event.text.startswith("Window "):
            self.window = int(event.text.split()[1])

    def _sample(self) -> None:
        while not self._end.wait(1):
            with self._process.oneshot():
                rss_mb = self._process.memory_info().rss / 1e6
                threads, files = self._process.num_threads(), self._process.num_fds()
            self.samples.append(Sample(self.window, rss_mb, threads, files))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def watched_run(server: ComfyServer, minutes: float, side_px: int) -> Report:
    """Make a square video of so many minutes."""
    write_speech(server, minutes * 60)
    widgets = {"width": side_px, "height": side_px, "window_frames": 81, "motion_frames": 9, "steps": 1}
    workflow = tiny_run(minutes * 60, f"soak_{minutes:g}", **widgets)
    started_s = time.monotonic()
    with Watch(server) as watch:
        server.client.run(workflow, watch.note, timeout_s=24 * 3600)
    seconds = time.monotonic() - started_s
    made = [sample for sample in watch.samples if sample.window]
    windows = made[-1].window
    first = [sample for sample in made if sample.window <= EDGE]
    last = [sample for sample in made if sample.window > windows - EDGE]
    (video,) = server.output.glob(f"soak_{minutes:g}_0*.mp4")
    return Report(
        minutes=minutes,
        windows=windows,
        seconds=round(seconds, 1),
        peak_rss_mb=round(max(sample.rss_mb for sample in watch.samples), 1),
        first_rss_mb=round(sum(sample.rss_mb for sample in first) / len(first), 1),
        last_rss_mb=round(sum(sample.rss_mb for sample in last) / len(last), 1),
        first_threads=max(sample.threads for sample in first),
        last_threads=max(sample.threads for sample in last),
        first_files=max(sample.files for sample in first),
        last_files=max(sample.files for sample in last),
        video_mb=round(video.stat().st_size / 1e6, 1),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--side", type=int, default=64, help="of the square video, in pixels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ComfyServer(arguments.comfyui, Path(folder)) as server:
        prepare(server)
        short = watched_run(server, 1, arguments.side)
        print(json.dumps(asdict(short)), flush=True)
        long = watched_run(server, arguments.minutes, arguments.side)
        print(json.dumps(asdict(long)), flush=True)
        grown_mb = round(long.peak_rss_mb - short.peak_rss_mb, 1)
        print(json.dumps({"peak_grown_mb": grown_mb}), flush=True)


if __name__ == "__main__":
    main()
