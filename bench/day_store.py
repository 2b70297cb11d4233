"""The film of a day by the pack's own window loop and store: are all of its frames and its whole sound in it?

    python bench/day_store.py --hours 24

A toy stands for the models, so that every window is made in milliseconds; the sound is read, the windows are
written, synced and joined, and the sound is encoded as in a server. Prints a JSON line for each tenth of the
windows, and what was counted and heard in the file; the exit code is 1 where something is missing. Linux.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "support"), str(ROOT / "bench")]

from pack_alias import name_pack  # noqa: E402

name_pack()

from day import FPS, hear  # noqa: E402
from evertalk_pack.multitalk.common.types import Waveform  # noqa: E402
from evertalk_pack.multitalk.media.output_format import offered_formats  # noqa: E402
from evertalk_pack.multitalk.media.sound_file import read_sound  # noqa: E402
from evertalk_pack.multitalk.runs.identity import RunIdentity  # noqa: E402
from evertalk_pack.multitalk.windows.plan import plan_windows  # noqa: E402
from kill_runs import write_sound  # noqa: E402
from toy_run import MOTION_FRAMES, ToyRun  # noqa: E402
from watched_run import Look, frames_in  # noqa: E402

WINDOW_FRAMES = 81
SIDE_PX = 32
KEY = "{:032x}"
TENTHS = 10


@dataclass
class DayRun(ToyRun):
    """A toy run on a given sound, whose windows are known by their numbers.

    Attributes:
        given: the sound.
    """

    given: Waveform = field(kw_only=True)

    @property
    def sound(self) -> Waveform:
        return self.given

    def card(self) -> RunIdentity:
        windows = plan_windows(self.frames, self.window_frames, MOTION_FRAMES)
        keys = tuple(KEY.format(window.index) for window in windows)
        return RunIdentity(KEY.format(len(keys)), keys, windows, {})


class Tenths:
    """Prints what the process looks like at the end of each tenth of the windows."""

    def __init__(self, windows: int) -> None:
        self._windows = windows
        self._before = Look.at(os.getpid())

    def __call__(self, index: int) -> None:
        """A window has been made, and is not written yet."""
        if (index + 1) * TENTHS // self._windows == index * TENTHS // self._windows:
            return
        now = Look.at(os.getpid())
        cpu_s = (now.cpu_s - self._before.cpu_s) * TENTHS / self._windows
        figures = {**rounded(now), "cpu_s": round(cpu_s, 4)}
        print(json.dumps({"window": index + 1, **figures}), flush=True)
        self._before = now


def rounded(look: Look) -> dict[str, float]:
    """Its figures, the last digits left out."""
    return {name: round(figure, 1) for name, figure in asdict(look).items()}


def make_day(folder: Path, hours: float, form: str) -> bool:
    """Make the film in a folder; whether it is whole."""
    seconds, wav = hours * 3600, folder / "speech.wav"
    write_sound(wav, seconds)
    frames, given = round(seconds * FPS), read_sound(wav, folder, lambda: None)
    run = DayRun(
        folder,
        frames,
        window_frames=WINDOW_FRAMES,
        side_px=SIDE_PX,
        written_as=offered_formats()[form],
        given=given,
    )
    run.before_window = Tenths(len(run.card().windows))
    video = run.play()
    found, heard = frames_in(video), hear(video, wav)
    now = rounded(Look.at(os.getpid()))
    told = {"frames": found, "expected": frames, **asdict(heard), "expected_s": seconds, **now}
    print(json.dumps(told), flush=True)
    return found == frames and heard.is_of(seconds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--form", choices=("mp4 (h264)", "mkv lossless (ffv1)"), default="mp4 (h264)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        is_whole = make_day(Path(name), arguments.hours, arguments.form)
    sys.exit(0 if is_whole else 1)


if __name__ == "__main__":
    main()
