"""Segments: a window's part of the video as a playable file, and the video that they make together.

A segment begins with a key frame and refers to no other (its groups of pictures are closed), and all segments
of a run have the same encoder settings. So the video is made of their packets as they are; only the times
change. The sound is encoded once, along the whole video.

Shape letters: H height, W width.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from ..common.errors import RunStoreError
from ..common.types import Waveform
from .frame_clock import FrameClock, SteadyClock
from .frame_encoder import FrameEncoder, Frames
from .sound_track import AAC, PCM, SoundCodec, SoundTrack
from .stream_codecs import H264, Ffv1, Hevc10, StreamCodec, VideoSettings
from .video_writer import MP4_OPTIONS

MAX_REORDER = 2
"""Frames that a packet may be decoded ahead of its place: B-frames of two levels."""

_SEGMENT_OPTIONS = {"fflags": "bitexact"}


@dataclass(frozen=True, slots=True)
class StreamForm:
    """A codec in a container.

    Attributes:
        codec: of the picture.
        container: FFmpeg's name of the container.
        suffix: of file names.
        options: of the finished file's container.
        sound: how the sound is encoded.
        reorder: frames that a packet may be decoded ahead of its place.
    """

    codec: StreamCodec
    container: str
    suffix: str
    options: Mapping[str, str]
    sound: SoundCodec
    reorder: int


H264_MP4 = StreamForm(H264(), "mp4", ".mp4", MP4_OPTIONS, AAC, MAX_REORDER)
HEVC = StreamForm(Hevc10(), "mp4", ".mp4", MP4_OPTIONS, AAC, MAX_REORDER)
FFV1 = StreamForm(Ffv1(), "matroska", ".mkv", _SEGMENT_OPTIONS, PCM, 0)
"""Its sound is not packed either: float samples as they came."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive frames inside a video file.

    Attributes:
        path: the file.
        start: position in it of the first frame, which is a key frame.
        frames: how many.
        clock: when its file shows frames; None: at the steady rate that it tells.
    """

    path: Path
    start: int
    frames: int
    clock: FrameClock | None = None


def write_segment(path: Path, frames: Frames, settings: VideoSettings, form: StreamForm = H264_MP4) -> None:
    """Encode a window's frames, (H, W, 3) each, 0..1, to a file of their own; at least one.

    Raises:
        OSError: the disk is full or the folder gone (FFmpeg's errors are such).
        RunStoreError: what is there is not what was written.
    """
    with av.open(str(path), "w", format=form.container, options=_SEGMENT_OPTIONS) as container:
        following = iter(frames)
        first_HWC = next(following)
        encoder = FrameEncoder(container, first_HWC.shape[0], first_HWC.shape[1], settings, form.codec)
        for frame_HWC in chain((first_HWC,), following):
            encoder.encode(frame_HWC)
        encoder.flush()
    check_frames(path, len(frames))


def check_frames(path: Path, expected: int, clock: FrameClock | None = None) -> None:
    """Count the frames of a video that was just written: closing a file on a full disk may fail unheard.

    Raises:
        RunStoreError: they are fewer or more, or the file cannot be read.
        FileNotFoundError: the file is not there any more.
    """
    try:
        found = sum(1 for _ in _packets(Piece(path, 0, expected, clock)))
    except FileNotFoundError:  # the whole folder may be gone, which its owner can tell
        raise
    except (FFmpegError, IndexError) as error:
        raise RunStoreError(f"{path.name} cannot be read back after it was written ({error})") from error
    if found != expected:
        raise RunStoreError(f"{path.name} has {found} frames after {expected} were written")


def remux(
    path: Path,
    pieces: Iterable[Piece],
    sound: Waveform | None,
    metadata: Mapping[str, str],
    settings: VideoSettings,
    form: StreamForm = H264_MP4,
    clock: FrameClock | None = None,
    *,
    complete: bool,
) -> int:
    """Put pieces one after the other into one file with sound; nothing of the picture is encoded again.

    Args:
        path: the file to make.
        pieces: in order, all of one size and encoded alike; at least one.
        sound: from sample 0 on, or None.
        metadata: text by key.
        settings: with which the pieces were encoded.
        form: in which they are encoded.
        clock: when the video shows its frames; None: at the steady rate of the settings.
        complete: the whole sound goes in; else it is cut to the frames.

    Returns:
        how many frames the video has.

    Raises:
        OSError: the disk is full, or a piece cannot be read (FFmpeg's errors are such).
    """
    clock = clock or SteadyClock(settings.fps)
    all_pieces = iter(pieces)
    first = next(all_pieces)
    with av.open(str(path), "w", format=form.container, options=dict(form.options)) as container:
        container.metadata.update(metadata)
        with av.open(str(first.path)) as source:
            stream = container.add_stream_from_template(source.streams.video[0])
        has_sound = sound is not None and sound.samples_CT.shape[-1] > 0
        track = (
            SoundTrack(container, sound, settings.fps, form.sound)
            if sound is not None and has_sound
            else None
        )
        frames = 0
        for packet in _retimed(chain((first,), all_pieces), clock, form.reorder):
            packet.stream = stream
            container.mux(packet)
            frames += 1
            if track is not None:
                track.advance_to(clock.ticks(frames) * clock.time_base)
        if track is not None:
            if complete:
                track.take_rest()
            track.flush()
    return frames


def _retimed(pieces: Iterable[Piece], clock: FrameClock, reorder: int) -> "Iterator[Packet[VideoStream]]":
    """The packets of all pieces in decoding order, with the times that one long video gives them."""
    decoded = shown = 0
    for piece in pieces:
        for packet, position in _packets(piece):
            frame = shown + position
            packet.time_base = clock.time_base
            packet.pts = clock.ticks(frame)
            # Encoders tell decoding times only within a file: counted again, they rise across all pieces.
            packet.dts = clock.ticks(decoded - reorder)
            packet.duration = clock.ticks(frame + 1) - clock.ticks(frame)
            decoded += 1
            yield packet
        shown += piece.frames


def _packets(piece: Piece) -> "Iterator[tuple[Packet[VideoStream], int]]":
    """A piece's packets in decoding order, each with its frame's position in the piece."""
    with av.open(str(piece.path)) as container:
        stream = container.streams.video[0]
        clock = piece.clock or SteadyClock(Fraction(stream.average_rate or 1))
        if piece.start:
            _seek(container, stream, clock.ticks(piece.start) * clock.time_base)
        for packet in container.demux(stream):
            if packet.pts is None or not packet.size:
                continue
            position = clock.frame_at(packet.pts * packet.time_base) - piece.start
            if 0 <= position < piece.frames:
                yield packet, position


def _seek(container: InputContainer, stream: VideoStream, time_s: Fraction) -> None:
    assert stream.time_base is not None
    container.seek(round(time_s / stream.time_base), stream=stream)
