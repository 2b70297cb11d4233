"""The host's VIDEO as a source clip, and its scene cuts with progress shown."""

from contextlib import closing
from io import BytesIO
from typing import Any

import comfy.model_management
from av.error import FFmpegError
from comfy.utils import ProgressBar
from comfy_api.latest import Input, InputImpl

from ....multitalk.common.errors import InputError
from ....multitalk.dubbing.cuts import find_cuts
from ....multitalk.dubbing.source import SourceVideo, open_source
from ..compat.trimmed_video import trim_of

VideoInput = Input.Video
VideoFromFile = InputImpl.VideoFromFile


class NamedBuffer(BytesIO):
    """A file in memory whose name tells FFmpeg's libraries its format."""

    name = "video.mp4"


def clip_of(video: Any) -> SourceVideo:
    """The clip of a VIDEO value, opened where it lies: in a file, or in memory.

    Raises:
        InputError: it is not a video, cannot be read as one, or was trimmed by a node.
    """
    if not isinstance(video, VideoInput):
        raise InputError(
            f"source_video: {type(video).__name__}, expected a VIDEO. Connect Load Video, or Create Video "
            "for separate pictures."
        )
    clip = open_source(data_of(video))
    start_s, duration_s = trim_of(video)
    if start_s or duration_s:
        raise InputError(
            f"source_video: a node (Trim Video) has trimmed {clip.name} to begin at {start_s:g} s, but "
            "EverTalk reads the whole file, so that the trim would have no effect. Remove that node and set "
            f"start_s to {start_s:g}; the video ends with the speech."
        )
    return clip


def data_of(video: VideoInput) -> str | BytesIO:
    """The path of a VIDEO's file, or its file in memory.

    Raises:
        InputError: it gives neither.
    """
    if isinstance(video, VideoFromFile):
        return video.get_stream_source()
    # Separate pictures: the host's own way to a file in memory (0.3.75) ends in "no output format".
    buffer = NamedBuffer()
    try:
        video.save_to(buffer)
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"source_video: the video cannot be encoded ({error}). Save it with Save Video, or look at the "
            "node that made it."
        ) from error
    return buffer


def find_scene_cuts(video: SourceVideo, threshold: float) -> tuple[float, ...]:
    """Times, in seconds, at which another scene begins; the user may interrupt the search."""
    bar = ProgressBar(max(1, round(video.duration_s)))
    shown_s = 0

    def on_frame(time_s: float) -> None:
        nonlocal shown_s
        comfy.model_management.throw_exception_if_processing_interrupted()
        if time_s >= shown_s + 1:
            shown_s = int(time_s)
            bar.update_absolute(shown_s)

    with closing(video.reader()) as reader:
        return find_cuts(reader, threshold, on_frame)
