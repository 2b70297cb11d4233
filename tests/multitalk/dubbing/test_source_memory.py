"""How much memory a long source clip takes: measured in processes of their own."""

import itertools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest
from evertalk_pack.multitalk.common.types import MOTION_FRAMES, WINDOW_FRAMES
from evertalk_pack.multitalk.dubbing.source import open_source
from source_clips import at_fps, level_of, write_clip

MINUTE_S, LONG_S = 60, 1200
MAX_ADDED_BYTES = 200 * 10**6

PROBE = """
import resource, sys
sys.path.insert(0, sys.argv[2])
import load_pack
from evertalk_pack.multitalk.dubbing.clip import Dub, DubSource
from evertalk_pack.multitalk.windows.settings import FrameSize
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.windows.plan import plan_windows

source = open_source(sys.argv[1])
dub = Dub(DubSource(source), FrameSize(64, 64), lambda frame: frame)
windows = plan_windows(round(source.duration_s * 25), {window}, {motion})
levels = [dub.reference(window).mean() for window in windows]
print(len(levels), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def repeated(path: Path, minute: Path, times: int) -> Path:
    """A clip's packets over and over: encoding twenty minutes would take longer than reading them."""
    with av.open(str(minute)) as source, av.open(str(path), mode="w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        assert stream.duration is not None
        assert stream.time_base is not None
        packets = [
            (packet.pts, packet.dts, bytes(packet), packet.is_keyframe)
            for packet in source.demux(stream)
            if packet.size
        ]
        for number, (pts, dts, data, is_key) in itertools.product(range(times), packets):
            packet = av.Packet(data)
            assert pts is not None
            assert dts is not None
            packet.pts, packet.dts = pts + number * stream.duration, dts + number * stream.duration
            packet.time_base, packet.is_keyframe, packet.stream = stream.time_base, is_key, copy
            target.mux(packet)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A minute and twenty minutes of the same."""
    folder = tmp_path_factory.mktemp("clips")
    minute = write_clip(folder / "minute.mp4", at_fps(Fraction(25), MINUTE_S * 25), gop=50)
    return minute, repeated(folder / "long.mp4", minute, LONG_S // MINUTE_S)


def peak_bytes(clip: Path) -> tuple[int, int]:
    """Windows read, and the most memory that a process took which read the references of all of them."""
    code = PROBE.format(window=WINDOW_FRAMES, motion=MOTION_FRAMES)
    command = [sys.executable, "-c", code, str(clip), str(Path(__file__).resolve().parents[2] / "support")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    windows, peak = done.stdout.split()
    return int(windows), int(peak)


def test_long_clip_reads_right_to_its_end(clips: tuple[Path, Path]) -> None:
    source = open_source(clips[1])
    assert source.duration_s == pytest.approx(LONG_S, abs=1)
    reader = source.reader()
    frames = [29000, 3, 15000, 15001]
    assert [level_of(reader.frame_at(number / 25)) for number in frames] == [
        number % 1500 % 40 for number in frames
    ]


def test_twenty_minutes_add_less_than_200_mb_over_one(clips: tuple[Path, Path]) -> None:
    (short_windows, short_bytes), (long_windows, long_bytes) = (peak_bytes(clip) for clip in clips)
    assert (short_windows, long_windows) == (21, 417)
    assert long_bytes - short_bytes < MAX_ADDED_BYTES
