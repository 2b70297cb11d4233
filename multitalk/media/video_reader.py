"""Frames of a video file, read back in the colours that its tags name.

Shape letters: F frames, H height, W width; the last axis of frames is red, green, blue.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch
from av.error import FFmpegError
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from ..common.errors import ResultError, reason_of
from ..common.types import Waveform
from .deep_frames import deep_rgb, is_deep
from .media_file import is_decodable, open_media
from .mix_down import MixDown
from .one_thread import ONE_THREAD
from .sound_blocks import sound_blocks

MAX_PIXELS = 8192 * 8192
"""Pixels of a frame, twice as many as 8K video has. A file of some kilobytes can hold frames of 3 GB."""


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a video's header says.

    Attributes:
        frames: number of video frames; 0 where the container does not count them.
        width, height: pixels.
        fps: average frames a second.
    """

    frames: int
    width: int
    height: int
    fps: Fraction


def probe_video(path: Path, max_pixels: int = MAX_PIXELS) -> VideoFacts:
    """Read a video's header.

    Raises:
        ResultError: the file is not a video that can be opened.
    """
    try:
        with open_media(path) as container:
            if not container.streams.video or not is_decodable(container.streams.video[0]):
                raise ResultError(f"samples: {path} holds no video stream; run the sampler again")
            stream = container.streams.video[0]
            if stream.width * stream.height > max_pixels:
                raise ResultError(
                    f"samples: {path} has pictures of {stream.width}x{stream.height}, expected "
                    f"{max_pixels // 10**6} million pixels at most; run the sampler again"
                )
            rate = stream.average_rate or Fraction(0)
            return VideoFacts(stream.frames, stream.width, stream.height, Fraction(rate))
    except FFmpegError as error:
        raise ResultError(
            f"samples: {path} cannot be read as a video ({reason_of(error)}); run the sampler again"
        ) from error


def codec_of(path: Path) -> str:
    """FFmpeg's name of a video's codec.

    Raises:
        ResultError: the file is not a video that can be opened.
    """
    probe_video(path)
    with open_media(path) as container:
        return container.streams.video[0].codec_context.name


def read_frames(path: Path) -> torch.Tensor:
    """All frames of a video as float32 0..1, (frames, height, width, 3), on the CPU.

    Raises:
        ResultError: the file is not a video that can be opened, or holds no frame.
    """
    facts = probe_video(path)
    # Room for the counted frames is made once: a list that is stacked at the end needs twice the memory.
    try:
        frames_FHWC = torch.empty(facts.frames, facts.height, facts.width, 3)
    except RuntimeError as error:
        raise ResultError(
            f"samples: {path} says that it has {facts.frames} frames of {facts.width}x{facts.height}, more "
            "than fit into memory; take the video output instead of the images"
        ) from error
    uncounted: list[torch.Tensor] = []
    number = 0
    for frame_HWC in frames_of(path):
        if number < facts.frames:
            frames_FHWC[number] = frame_HWC
        else:
            uncounted.append(frame_HWC)
        number += 1
    if number == 0:
        raise ResultError(f"samples: {path} holds no video frame; run the sampler again")
    return torch.cat([frames_FHWC, torch.stack(uncounted)]) if uncounted else frames_FHWC[:number]


def frames_of(path: Path) -> Iterator[torch.Tensor]:
    """Frames of a video one by one, float32 0..1, (height, width, 3).

    Raises:
        ResultError: it is damaged.
    """
    number = 0
    try:
        with open_media(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            # Later frames may be larger than the header says.
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            for frame in container.decode(video=0):
                yield rgb_frame(frame)
                number += 1
    except (FFmpegError, ValueError) as error:
        raise ResultError(
            f"samples: {path} is damaged after frame {number} ({reason_of(error)}); run the sampler again"
        ) from error


def rgb_frame(frame: av.VideoFrame) -> torch.Tensor:
    """A decoded frame, float32 0..1, (height, width, 3)."""
    return deep_rgb(frame) if is_deep(frame) else torch.from_numpy(rgb_of(frame)).float().div_(255)


def read_sound(path: Path) -> Waveform | None:
    """The first sound track of a file as it is, float32; None without one that can be decoded.

    Raises:
        ResultError: it is damaged.
    """
    try:
        with open_media(path) as container:
            stream = next(filter(is_decodable, container.streams.audio), None)
            if stream is None:
                return None
            mixer = MixDown(stream.layout.name, stream.rate)
            parts = [block.samples_CT for block in sound_blocks(container, stream, mixer, [])]
            return Waveform(torch.cat(parts, dim=1), stream.rate) if parts else None
    except (FFmpegError, ValueError) as error:
        raise ResultError(
            f"samples: the sound of {path} is damaged ({reason_of(error)}); run the sampler again"
        ) from error


def rgb_of(frame: av.VideoFrame) -> NDArray[Any]:
    """A decoded frame as 8-bit RGB (H, W, 3), by the colour space and range of its tags."""
    if frame.format.is_rgb:
        return frame.to_ndarray(format="rgb24", **ONE_THREAD)
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    # PyAV before 18 takes every video for BT.601 unless colour space and both ranges are given.
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=frame.colorspace,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        **ONE_THREAD,
    )
    return rgb.to_ndarray()
