"""A day of sound in a real server with the demo's tiny models: what does a window cost, early and late?

    python bench/day.py --comfyui .cache/ComfyUI --hours 24

Loads and encodes all of the sound, and makes the first windows of the film. Then the run's folder is filled
up to --places, one after the other, with windows that were never sampled (server_fill.py): at each the run
is queued again, goes on for --windows windows, and is stopped, which joins all that there are. At last it is
filled up to its end but for --windows, which are made, and the film of a day is put together and counted.
Prints a JSON line for each place; the exit code is 1 where the film has not the frames it should have.
`make soak` calls it; `soak.py --minutes 1440` samples every window instead, for days. Linux.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "support"), str(ROOT / "bench")]

from comfy_client import Event, JobInterruptedError, TextEvent  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402
from kill_runs import prepare, tiny_run, write_speech  # noqa: E402
from server_fill import FILL, UNJOINED  # noqa: E402
from watched_run import Footprint, Look, frames_in  # noqa: E402

Samples = np.ndarray[Any, np.dtype[np.float32]]

FPS = 25
MOTION_FRAMES = 5
PREFIX = "day"
DAY_S = 24 * 3600
LIKE = 0.8


@dataclass(frozen=True, slots=True)
class Cost(Footprint):
    """What the run cost at one place of the film, and what the process held at its last window.

    Attributes:
        window: the first that was made there.
        made: how many were made.
        cpu_s: seconds of a processor for each, the first two left out.
        written_mb: written for each.
        opening_cpu_s: before the first.
        joining_cpu_s: after the last: all windows so far become a video.
        peak_rss_mb: so far, of joining too.
    """

    window: int
    made: int
    cpu_s: float
    written_mb: float
    opening_cpu_s: float
    joining_cpu_s: float
    peak_rss_mb: float


class Stretch:
    """Looks at the server with each window that it makes, and stops the run after some.

    Args:
        server: that makes them.
        windows: to make; None: to the end.
    """

    def __init__(self, server: ComfyServer, windows: int | None) -> None:
        self._server, self._windows = server, windows
        self._looks: list[tuple[int, Look]] = []
        self._before = Look.at(server.pid)

    def note(self, event: Event) -> None:
        """What the server tells of a window that was made."""
        if not (isinstance(event, TextEvent) and event.text.startswith("Window ") and " made:" in event.text):
            return
        self._looks.append((int(event.text.split()[1]), Look.at(self._server.pid)))
        if len(self._looks) == self._windows:
            self._server.client.interrupt()

    def cost(self) -> Cost:
        """What all of it cost, once it has ended."""
        now = Look.at(self._server.pid)
        (first, begun), (last, ended) = self._looks[1], self._looks[-1]
        return Cost(
            window=self._looks[0][0],
            made=len(self._looks),
            cpu_s=round((ended.cpu_s - begun.cpu_s) / (last - first), 3),
            written_mb=round((ended.written_mb - begun.written_mb) / (last - first), 3),
            opening_cpu_s=round(self._looks[0][1].cpu_s - self._before.cpu_s, 1),
            joining_cpu_s=round(now.cpu_s - ended.cpu_s, 1),
            peak_rss_mb=round(now.peak_rss_mb, 1),
            **asdict(Footprint.of([ended])),
        )


class Film:
    """The film of one server.

    Args:
        server: with the tiny models, and server_fill.py among its custom nodes.
        seconds: of the sound, which lies in its input folder.
        window_frames: of a window.
        fill: the file that tells server_fill.py how many windows to give.
    """

    def __init__(self, server: ComfyServer, seconds: float, window_frames: int, fill: Path) -> None:
        self._server, self._fill = server, fill
        sizes = {"width": 32, "height": 32, "window_frames": window_frames, "motion_frames": MOTION_FRAMES}
        self._graph = tiny_run(seconds, PREFIX, steps=1, **sizes)
        for node in self._graph.values():
            is_loader = node["class_type"] == "LoadAudio"
            node["class_type"] = "EverTalkLoadSpeech" if is_loader else node["class_type"]
        self.frames = round(seconds * FPS)
        self.windows = 1 + -(-(self.frames - window_frames) // (window_frames - MOTION_FRAMES))

    def go_on(self, place: int, windows: int | None) -> Cost:
        """Make windows from a place on; None: to the end."""
        if place:
            self._fill.write_text(str(place))
        stretch = Stretch(self._server, windows)
        try:
            self._server.client.run(self._graph, stretch.note, timeout_s=2 * DAY_S)
        except JobInterruptedError:
            if windows is None:
                raise
        return stretch.cost()

    @property
    def video(self) -> Path:
        """The finished film."""
        (video,) = self._server.output.glob(f"{PREFIX}_0*.mp4")
        return video


@dataclass(frozen=True, slots=True)
class Heard:
    """The sound of a film, decoded whole.

    Attributes:
        sound_s: its length.
        least_likeness: of its minutes the least correlation with the sound that was given, both at the same
            samples: a sound that is late by one sample of noise has none.
    """

    sound_s: float
    least_likeness: float

    def is_of(self, seconds: float) -> bool:
        """Whether it is the sound given, whole and in its place."""
        return abs(self.sound_s - seconds) < 0.1 and self.least_likeness > LIKE


def hear(video: Path, given: Path) -> Heard:
    """Decode a film's sound beside the sound that was given, a minute at a time."""
    samples, least = 0, 1.0
    with av.open(str(video)) as film, av.open(str(given)) as sound:
        own = film.streams.audio[0].rate
        minutes = zip(sound_in_minutes(film, own), sound_in_minutes(sound, own), strict=False)
        for heard, told in minutes:
            samples += len(heard)
            both = min(len(heard), len(told))
            if both > own:
                least = min(least, float(np.corrcoef(heard[:both], told[:both])[0, 1]))
    return Heard(samples / own, round(least, 3))


def sound_in_minutes(container: InputContainer, rate_hz: int) -> Iterator[Samples]:
    """A container's sound from its time 0 on, mono: minutes of it, the last shorter."""
    resampler = av.AudioResampler("flt", "mono", rate_hz)
    parts, held, minute = list[Samples](), 0, 60 * rate_hz
    for frame in chain(container.decode(audio=0), (None,)):
        parts += [one.to_ndarray()[0] for one in resampler.resample(frame)]
        held = sum(len(part) for part in parts)
        if held >= minute or frame is None:
            whole = np.concatenate(parts) if parts else np.zeros(0, np.float32)
            for start in range(0, held - minute + 1, minute):
                yield whole[start : start + minute]
            parts = [whole[held - held % minute :]]
    yield parts[0]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI")
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--windows", type=int, default=40, help="made at each place")
    parser.add_argument("--window-frames", type=int, default=81, help="17: 30,000 windows are four hours")
    parser.add_argument("--unjoined", action="store_true", help="a stop makes no video of what there is")
    parser.add_argument("--places", type=int, nargs="*", default=[100, 1000, 10_000])
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models are so small that more threads cost time
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ[FILL] = str(folder / "fill")
        os.environ[UNJOINED] = "1" if arguments.unjoined else ""
        (folder / "custom_nodes").mkdir()
        shutil.copy(ROOT / "bench" / "server_fill.py", folder / "custom_nodes")
        with ComfyServer(arguments.comfyui, folder) as server:
            prepare(server)
            is_whole = make_film(server, arguments, folder / "fill")
    sys.exit(0 if is_whole else 1)


def make_film(server: ComfyServer, arguments: argparse.Namespace, fill: Path) -> bool:
    """All stretches of the film; whether it has all of its frames."""
    seconds, made = arguments.hours * 3600, arguments.windows
    write_speech(server, seconds)
    film = Film(server, seconds, arguments.window_frames, fill)
    started_s = time.monotonic()
    places = [place for place in arguments.places if made < place < film.windows - 2 * made]
    for place in (0, *places, film.windows - made):
        is_last = place == film.windows - made
        cost = film.go_on(place, None if is_last else made)
        print(json.dumps({**asdict(cost), "wall_s": round(time.monotonic() - started_s)}), flush=True)
        if cost.window != place + 1:
            print(json.dumps({"wrong": f"expected window {place + 1} first"}), flush=True)
            return False
    frames = frames_in(film.video)
    print(json.dumps({"windows": film.windows, "frames": frames, "expected": film.frames}), flush=True)
    heard = hear(film.video, server.base / "input" / f"speech_{seconds:g}.wav")
    print(json.dumps({**asdict(heard), "expected_s": seconds}), flush=True)
    return frames == film.frames and heard.is_of(seconds)


if __name__ == "__main__":
    main()
