"""A source clip for dubbing: what it is, its sound, and a reader of its frames. Never whole in memory.

Shape letters: C channels, T samples.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from math import prod
from pathlib import Path

import av
import torch
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from ..common.errors import InputError, reason_of
from ..common.tensor_file import gathered_channels
from ..common.types import Waveform
from ..media.clip_times import ClipTimes, read_clip_times
from ..media.frame_reader import FrameReader, origin_s, picture_stream
from ..media.frame_shape import SQUARE, Orientation, orientation, pixel_shape, seen_size, square_size
from ..media.media_file import is_decodable, open_media
from ..media.mix_down import MixDown
from ..media.mp4_sanity import claims_too_much
from ..media.sound_blocks import LONGEST_GAP_S, Gap, gap_notes, silence, sound_blocks
from ..media.sound_file import bounded, watched
from ..media.video_reader import MAX_PIXELS

MOVE = "Choose a video that plays, in Load Video."


@dataclass(frozen=True, slots=True)
class SourceVideo:
    """A clip that was looked at and can be read.

    Attributes:
        video: its path, or the bytes of its file.
        name: what messages call it.
        duration_s: how long its pictures last.
        fps: its usual frames a second; frames are found by their own times, whatever the rate does.
        width_px, height_px: size as it is seen, upright and with square pixels.
        has_sound: whether it has a sound track.
        pixel: how wide its stored pixels are for their height; they are made square as frames are read.
    """

    video: str | bytes
    name: str
    duration_s: float
    fps: float
    width_px: int
    height_px: int
    has_sound: bool
    pixel: Fraction = SQUARE

    def reader(self) -> FrameReader:
        """A new reader of its frames."""
        return FrameReader(self.video)

    def times(self) -> ClipTimes:
        """When its frames are shown.

        Raises:
            InputError: it cannot be read any more.
        """
        try:
            return read_clip_times(self.video)
        except (FFmpegError, OSError) as error:
            raise unreadable(self.name, error) from error

    def sound(
        self, start_s: float = 0.0, folder: Path | None = None, check: Callable[[], None] = lambda: None
    ) -> Waveform:
        """Its sound from a time on, beside the pictures: (1 or 2 channels, samples), at its own rate.

        Args:
            start_s: the time.
            folder: where a long sound is kept; None: in memory.
            check: called now and then; may raise to stop.

        Raises:
            InputError: it has none, none after `start_s`, or more of it than sound_file.MAX_HOURS; or it
                begins long after the pictures.
        """
        if not self.has_sound:
            raise InputError(
                f"audio: {self.name} has no sound track. Take the speech from Load Audio, or choose a video "
                "with sound."
            )
        gaps: list[Gap] = []
        try:
            with open_media(self.video) as container:
                stream = container.streams.audio[0]
                _check_decodable(stream)
                rate_hz = stream.codec_context.sample_rate
                blocks = _from_the_beginning(container, stream, gaps, self.name)
                blocks = bounded(blocks, container, rate_hz, self.name, "audio")
                sound = Waveform(gathered_channels(watched(blocks, folder, check), folder), rate_hz)
        except InputError:
            raise
        except (FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"audio: the sound of {self.name} cannot be decoded ({reason_of(error)}); it is damaged, or "
                "of a kind that FFmpeg does not know. Take the speech from Load Audio, or choose another "
                "video."
            ) from error
        rest_CT = sound.samples_CT[:, round(start_s * sound.sample_rate_hz) :]
        if rest_CT.shape[1] == 0:
            raise InputError(
                f"audio: the sound of {self.name} lasts {sound.duration_s:.2f} s, and start_s is "
                f"{start_s:g}. Choose an earlier start_s."
            )
        return Waveform(rest_CT, sound.sample_rate_hz, gap_notes(gaps, "audio", self.name))


def open_source(video: str | Path | BytesIO, max_pixels: int = MAX_PIXELS) -> SourceVideo:
    """Look at a clip: a path, or a file in memory.

    Raises:
        InputError: it cannot be read, has no moving pictures, or not a single frame of them.
    """
    data = video.getvalue() if isinstance(video, BytesIO) else str(video)
    name = "the video from memory" if isinstance(data, bytes) else Path(data).name
    try:
        if claims_too_much(data):
            raise InputError(f"source_video: {name} names more samples than it has bytes. {MOVE}")
        with open_media(data) as container:
            stream = picture_stream(container)
            if stream is None:
                raise InputError(
                    f"source_video: {name} has no video stream, expected moving pictures. {MOVE}"
                )
            pixel = pixel_shape(stream)
            if prod(square_size(stream.height, stream.width, pixel)) > max_pixels:
                raise InputError(
                    f"source_video: {name} has pictures of {stream.width}x{stream.height}, expected "
                    f"{max_pixels // 10**6} million pixels at most. Scale the video down"
                )
            way = first_orientation(data, name)
            height_px, width_px = seen_size(stream.height, stream.width, pixel, way)
            return SourceVideo(
                video=data,
                name=name,
                duration_s=pictures_duration_s(container, stream),
                fps=float(stream.guessed_rate or stream.average_rate or 0),
                width_px=width_px,
                height_px=height_px,
                has_sound=bool(container.streams.audio),
                pixel=pixel,
            )
    except (FFmpegError, OSError) as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> InputError:
    """The refusal of a file that is gone, damaged or no video."""
    return InputError(f"source_video: {name} cannot be read as a video ({reason_of(error)}). {MOVE}")


def first_orientation(data: str | bytes, name: str) -> Orientation:
    """How the first frame is to be laid; this also shows that there is one.

    Raises:
        InputError: there is none.
    """
    with closing(FrameReader(data)) as reader:
        first = reader.standing
    if first is None:
        raise InputError(
            f"source_video: {name} has zero length: not a single frame can be decoded from it. {MOVE}"
        )
    return orientation(first)


def pictures_duration_s(container: InputContainer, stream: VideoStream) -> float:
    """How long the pictures last, seen from the file's beginning; 0 where the file does not say."""
    if stream.duration is None or stream.time_base is None:
        return float(Fraction(container.duration or 0, av.time_base))
    end = Fraction((stream.start_time or 0) + stream.duration) * stream.time_base
    return float(end - origin_s(container))


def _check_decodable(stream: AudioStream) -> None:
    if not is_decodable(stream):
        raise ValueError("there is no decoder for it")


def _from_the_beginning(
    container: InputContainer, stream: AudioStream, gaps: list[Gap], name: str
) -> Iterator[torch.Tensor]:
    """Decoded blocks (C, T), led by silence, or without what lies before the pictures begin.

    Mono or stereo. Damaged places are silent, and added to `gaps`.
    """
    layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    rate_hz = stream.codec_context.sample_rate
    early: int | None = None
    for time_s, block_CT in sound_blocks(container, stream, MixDown(layout, rate_hz), gaps):
        if early is None:
            begin_s = 0.0 if time_s is None else time_s - float(origin_s(container))
            if begin_s > LONGEST_GAP_S:
                raise InputError(
                    f"audio: the sound of {name} begins {begin_s:.0f} s after its pictures, expected "
                    f"{LONGEST_GAP_S:g} s at most; its times are damaged. Take the speech from Load Audio, "
                    "or choose another video."
                )
            early = -round(begin_s * rate_hz)
            yield from silence(-early, 1 if layout == "mono" else 2)
        cut = min(max(early, 0), block_CT.shape[1])
        early -= cut
        yield block_CT[:, cut:]
