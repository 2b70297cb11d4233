"""Small video files for tests: pictures whose grey level tells their time, any times, rotation and sound."""

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import torch
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16000
TKHD_MATRIX_OFFSET = 44
"""Bytes from the name of an mp4's track header (version 0) to its display matrix (ISO/IEC 14496-12)."""


def grey(level: int, height_px: int = 64, width_px: int = 64) -> NDArray[np.uint8]:
    return np.full((height_px, width_px, 3), level, np.uint8)


def write_clip(
    path: Path,
    pictures: Iterable[tuple[float, NDArray[np.uint8]]],
    *,
    time_base: Fraction = Fraction(1, 90000),
    gop: int = 12,
    sound_s: float = 0.0,
    codec: str = "libx264",
    pixel: Fraction = Fraction(1),
) -> Path:
    """Encode pictures (H, W, 3), each with its time in seconds; sound is a tone from the beginning."""
    pictures = list(pictures)
    with av.open(str(path), mode="w") as container:
        rate = 1 / (pictures[1][0] - pictures[0][0]) if len(pictures) > 1 else 25
        frame_rate = Fraction(rate).limit_denominator(1001)
        stream = cast(
            VideoStream, container.add_stream(codec, rate=frame_rate, options={"g": str(gop), "crf": "10"})
        )
        stream.height, stream.width = pictures[0][1].shape[:2] if pictures else (64, 64)
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        stream.codec_context.sample_aspect_ratio = pixel
        stream.time_base = stream.codec_context.time_base = time_base
        tone = add_tone(container) if sound_s else None
        container.start_encoding()
        for time_s, picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = round(time_s / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            write_tone(container, tone, sound_s)
    return path


def write_growing_clip(path: Path, sides: Iterable[int], count: int = 5) -> Path:
    """A bare H.264 stream of squares, `count` of each side, 25 a second."""
    parts: list[bytes] = []
    for side in sides:
        pictures = [(number / 25, grey(90, side, side)) for number in range(count)]
        clip, part = write_clip(path.with_name(f"{side}.mp4"), pictures), path.with_name(f"{side}.h264")
        with av.open(str(clip)) as source, av.open(str(part), "w", format="h264") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def add_tone(container: OutputContainer) -> AudioStream:
    return container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")


def write_tone(container: OutputContainer, stream: AudioStream, seconds: float) -> None:
    times_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tone = (0.5 * np.sin(2 * np.pi * 440 * times_s)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, 0, Fraction(1, SAMPLE_RATE_HZ)
    container.mux(stream.encode(frame))
    container.mux(stream.encode())


def at_fps(fps: Fraction, count: int, levels: int = 40) -> list[tuple[float, NDArray[np.uint8]]]:
    """`count` pictures at a rate, the k-th with grey level 16 + 5 * (k mod levels)."""
    return [(float(k / fps), grey(16 + 5 * (k % levels))) for k in range(count)]


def level_of(frame_HWC: torch.Tensor) -> int:
    """Which of at_fps's levels a frame (H, W, 3), 0..1, has."""
    mean = float(frame_HWC.mean()) * 255
    return round((mean - 16) / 5)


def turn_clockwise(path: Path) -> None:
    """Write a display matrix into an mp4 that turns its pictures clockwise by a quarter."""
    lay(path, 0, 1, -1, 0)


def lay(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write a display matrix into an mp4: a point (x, y) is seen at (ax + cy, bx + dy)."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + TKHD_MATRIX_OFFSET
    one = 1 << 16
    assert struct.unpack(">i", data[place : place + 4]) == (one,)
    data[place : place + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def claim_frames(path: Path, frames: int) -> None:
    """Let an mp4 say that it has so many frames, all of one size and in one chunk."""
    data = bytearray(path.read_bytes())
    for box, fields in (("stsz", (10, frames)), ("stsc", (1, 1, frames, 1)), ("stts", (1, frames, 3600))):
        place = data.index(box.encode()) + 8
        data[place : place + 4 * len(fields)] = struct.pack(f">{len(fields)}I", *fields)
    path.write_bytes(data)
