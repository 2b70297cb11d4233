"""Pictures of a finished sequence, read back one by one, however large they claim to be."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import torch
from av.error import FFmpegError

from ...wanvideo.plain_file import open_plain
from ..common.errors import ResultError
from .video_reader import MAX_PIXELS, rgb_frame

DEMUXERS = {".png": "png_pipe", ".exr": "exr_pipe"}
"""FFmpeg's names. They know their stream before a byte of it is decoded, so that the decoder's limit holds
from the start; left to guess, FFmpeg decodes a picture of any size to find out what it is."""


def read_pictures(paths: Iterable[Path]) -> Iterator[torch.Tensor]:
    """Pictures one by one, float32 0..1, (height, width, 3).

    Raises:
        ResultError: one is damaged, or has more than MAX_PIXELS.
    """
    return (read_picture(path) for path in paths)


def read_picture(path: Path, max_pixels: int = MAX_PIXELS) -> torch.Tensor:
    """A PNG or OpenEXR file as float32 0..1, (height, width, 3); see read_pictures."""
    limit = {"max_pixels": str(max_pixels)}
    form = DEMUXERS[path.suffix.lower()]
    try:
        with open_plain(path) as file, av.open(file, "r", format=form, options=limit) as container:
            container.streams.video[0].codec_context.options = limit
            frame = next(container.decode(video=0), None)
            picture_HWC = None if frame is None else rgb_frame(frame)
    except (FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path) from error
    if picture_HWC is None:
        raise _unreadable(path)
    return picture_HWC


def _unreadable(path: Path) -> ResultError:
    return ResultError(
        f"samples: the picture {path} cannot be read: it is damaged, or has more than {MAX_PIXELS // 10**6} "
        "million pixels; run the sampler again"
    )
