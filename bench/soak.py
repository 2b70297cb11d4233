"""A long run in a real server with the demo's tiny models: is it flat in memory, threads and open files?

    python bench/soak.py --comfyui .cache/ComfyUI --minutes 10

Runs one minute and then --minutes, each in a server of its own, samples the server's process every second,
and prints one JSON line for each run and the difference between them. `make soak` calls it. Linux.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "support")]

from comfy_server import ComfyServer  # noqa: E402
from kill_runs import tiny_run, write_speech  # noqa: E402
from watched_run import Report, Watch, frames_in, short_and_long  # noqa: E402

LOAD_AUDIO, LOAD_SPEECH = "LoadAudio", "EverTalkLoadSpeech"


@dataclass(frozen=True, slots=True)
class SoakReport(Report):
    """What a run took.

    Attributes:
        seconds_before: of its time, before the first window was done: loading and encoding.
        video_mb: size of the video.
    """

    seconds_before: float
    video_mb: float


def watched_run(side_px: int, loader: str, server: ComfyServer, minutes: float) -> SoakReport:
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
    return SoakReport(
        minutes=minutes,
        seconds=round(seconds, 1),
        seconds_before=float(sum(not window for window, _ in watch.samples)),
        **watch.figures(),
        video_mb=round(video.stat().st_size / 1e6, 1),
        frames=frames_in(video),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--side", type=int, default=32, help="of the square video, in pixels")
    parser.add_argument("--loader", choices=(LOAD_SPEECH, LOAD_AUDIO), default=LOAD_SPEECH)
    asked = parser.parse_args()
    short_and_long(asked.comfyui, 1, asked.minutes, partial(watched_run, asked.side, asked.loader))


if __name__ == "__main__":
    main()
