"""A long clip of which a region is made to talk, in a real server with the demo's tiny models: is it flat?

    python bench/long_clip.py --minutes 20 --size 1920x1080 --fps 30000/1001

Makes a clip that is turned by its display matrix, lacks a frame in each piece, so that its rate is
variable, and has stereo sound, which is also the speech. Runs a minute of it and then --minutes, each in a
server of its own whose process is sampled every second; prints one JSON line for each run and the difference.
Linux.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "support")]

from comfy_server import ComfyServer  # noqa: E402
from dub_graph import SAMPLER, SOURCE, dub_graph  # noqa: E402
from source_clips import turn_clockwise  # noqa: E402
from watched_run import Report, Watch, frames_in, short_and_long  # noqa: E402

PIECE_S = 10
"""So much is encoded; a clip repeats its packets, for encoding twenty minutes takes as long as the run."""

DROPPED = 7
"""The frame that each piece lacks."""

SOUND_HZ = 48_000
BLOCK = 1024
"""Samples of a packet of AAC."""

TICKS = Fraction(1, 90_000)
TIMEOUT_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Wanted:
    """The clip.

    Attributes:
        width, height: as it is seen; it is stored turned.
        fps: its usual rate.
    """

    width: int
    height: int
    fps: Fraction

    @property
    def frames_a_piece(self) -> int:
        """With the one that is left out."""
        return round(PIECE_S * self.fps)


@dataclass(frozen=True, slots=True)
class ClipReport(Report):
    """What a run took; `clip_frames` are those of the clip, counted in the file."""

    clip_frames: int


def pictures(wanted: Wanted) -> Iterator[NDArray[np.uint8]]:
    """A piece's pictures as they are stored: a box that moves over grey."""
    height, width = wanted.width, wanted.height
    side = min(height, width) // 8
    for number in range(wanted.frames_a_piece):
        picture = np.full((height, width, 3), 90, np.uint8)
        left = number * (width - side) // wanted.frames_a_piece
        picture[height // 2 : height // 2 + side, left : left + side] = (200, 120, 80)
        yield picture


class Kept(NamedTuple):
    """What is needed of a packet to write it again."""

    pts: int
    dts: int
    base: Fraction
    data: bytes
    is_keyframe: bool

    @classmethod
    def of(cls, packet: "av.Packet[Any]") -> "Kept":
        """The parts of a packet that an encoder gave."""
        assert packet.pts is not None
        assert packet.dts is not None
        return cls(packet.pts, packet.dts, Fraction(packet.time_base), bytes(packet), packet.is_keyframe)


def encoded_pictures(stream: VideoStream, wanted: Wanted) -> Iterator[Kept]:
    """A piece's packets, whose frames have the times of a steady rate but for the one that is left out."""
    for number, picture in enumerate(pictures(wanted)):
        if number != DROPPED:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = round(number / wanted.fps / TICKS), TICKS
            yield from map(Kept.of, stream.encode(frame))
    yield from map(Kept.of, stream.encode())


def encoded_sound(stream: AudioStream) -> Iterator[Kept]:
    """The packets of a piece's sound: whole blocks of a tone that swells and falls."""
    for number in range(PIECE_S * SOUND_HZ // BLOCK):
        times_s = (np.arange(BLOCK) + number * BLOCK) / SOUND_HZ
        tone = 0.4 * np.sin(2 * np.pi * 220 * times_s) * np.sin(np.pi * 2 * times_s) ** 2
        both = np.stack([tone, tone]).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(both, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_HZ, number * BLOCK, Fraction(1, SOUND_HZ)
        yield from map(Kept.of, stream.encode(frame))


def write_long_clip(path: Path, wanted: Wanted, minutes: float) -> None:
    """A clip of so many minutes, in whole pieces."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=wanted.fps)
        video.width, video.height, video.pix_fmt = wanted.height, wanted.width, "yuv420p"
        video.options = {"preset": "ultrafast", "g": "60"}
        video.time_base = video.codec_context.time_base = TICKS
        sound = container.add_stream("aac", rate=SOUND_HZ, layout="stereo")
        container.start_encoding()
        video_ticks = round(wanted.frames_a_piece / wanted.fps / TICKS)
        heard = [*encoded_sound(sound)]  # without the block that the encoder still holds
        piece = [(kept, video, video_ticks) for kept in encoded_pictures(video, wanted)]
        piece += [(kept, sound, len(heard) * BLOCK) for kept in heard]
        for number, (kept, stream, ticks) in itertools.product(range(round(minutes * 60 / PIECE_S)), piece):
            packet = av.Packet(kept.data)
            packet.pts, packet.dts = kept.pts + number * ticks, kept.dts + number * ticks
            packet.time_base, packet.is_keyframe, packet.stream = kept.base, kept.is_keyframe, stream
            container.mux(packet)
    turn_clockwise(path)


def run_with(wanted: Wanted, side_px: int, server: ComfyServer, minutes: float) -> ClipReport:
    """Make a region of a clip talk, the clip's own sound being the speech."""
    clip = server.base / "input" / "long.mp4"
    write_long_clip(clip, wanted, minutes)
    graph = dub_graph(clip.name)
    box = f"0s: 30%,20%,20%,20%; {minutes * 60:g}s: 45%,30%,20%,20%"
    graph[SOURCE]["inputs"] |= {"work_on": "region", "region_box": box}
    graph[SAMPLER]["inputs"] |= {"width": side_px, "height": side_px, "window_frames": 81}
    graph[SAMPLER]["inputs"] |= {"motion_frames": 9, "filename_prefix": "long"}
    started_s = time.monotonic()
    with Watch(server) as watch:
        server.client.run(graph, watch.note, timeout_s=TIMEOUT_S)
    (video,) = server.output.glob("long_0*.mp4")
    return ClipReport(
        minutes=minutes,
        clip_frames=frames_in(clip),
        frames=frames_in(video),
        seconds=round(time.monotonic() - started_s, 1),
        **watch.figures(),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--short", type=float, default=1, help="minutes of the one beside it")
    parser.add_argument("--size", default="1920x1080", help="of the clip as it is seen, WIDTHxHEIGHT")
    parser.add_argument("--fps", type=Fraction, default=Fraction(30000, 1001), help="of the clip")
    parser.add_argument("--side", type=int, default=32, help="at which the region is made, in pixels")
    asked = parser.parse_args()
    width, height = (int(side) for side in asked.size.split("x"))
    run = partial(run_with, Wanted(width, height, asked.fps), asked.side)
    short_and_long(asked.comfyui, asked.short, asked.minutes, run)


if __name__ == "__main__":
    main()
