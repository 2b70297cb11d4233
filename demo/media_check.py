"""Measures a finished video and the speech it was made from, as a player would see them."""

from dataclasses import dataclass
from pathlib import Path

import av
from av.error import FFmpegError

FPS = 25
"""The frame rate of every EverTalk video."""

AAC_FRAME_SAMPLES = 1024


class MediaError(Exception):
    """A file cannot be read, or the video is not what the speech asks for."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Length of a sound, counted in decoded samples."""

    num_samples: int
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class Video:
    """What decoding a whole video file gives."""

    num_frames: int
    width_px: int
    height_px: int
    sound: Sound


def measure_sound(file: Path) -> Sound:
    """Decode the first sound of a file; raises MediaError if there is none."""
    try:
        with av.open(file) as container:
            if not container.streams.audio:
                raise MediaError(f"{file} holds no sound.")
            stream = container.streams.audio[0]
            num_samples = sum(frame.samples for frame in container.decode(stream))
            return Sound(num_samples, stream.rate)
    except (FFmpegError, OSError) as error:
        raise MediaError(f"{file} cannot be read: {error}") from error


def measure_video(file: Path) -> Video:
    """Decode every frame of a video with sound; raises MediaError if it lacks either."""
    try:
        with av.open(file) as container:
            if not container.streams.video:
                raise MediaError(f"{file} holds no video.")
            stream = container.streams.video[0]
            num_frames = sum(1 for _ in container.decode(stream))
            width_px, height_px = stream.width, stream.height
    except (FFmpegError, OSError) as error:
        raise MediaError(f"{file} cannot be read: {error}") from error
    return Video(num_frames, width_px, height_px, measure_sound(file))


def check_video(video: Video, speech: Sound) -> None:
    """Raise MediaError unless the video is exactly as long as the speech.

    Exactly means round(25 * seconds) frames, and sound of the same length within one AAC frame.
    """
    expected_frames = round(FPS * speech.duration_s)
    if video.num_frames != expected_frames:
        raise MediaError(
            f"The video has {video.num_frames} frames, but {speech.duration_s:.3f} s of speech "
            f"make {expected_frames}."
        )
    difference_s = abs(video.sound.duration_s - speech.duration_s)
    if difference_s > AAC_FRAME_SAMPLES / video.sound.sample_rate_hz:
        raise MediaError(
            f"The video's sound lasts {video.sound.duration_s:.3f} s, the speech {speech.duration_s:.3f} s: "
            "more than one AAC frame apart."
        )
