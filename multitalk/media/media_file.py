"""Opens a sound or a film that a stranger may have made."""

from io import BytesIO
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Stream

ANY_TEXT_SINCE = 19
ANY_TEXT: dict[str, Any] = (
    {} if int(av.__version__.split(".")[0]) >= ANY_TEXT_SINCE else {"metadata_errors": "replace"}
)
"""For `av.open`: takes texts in a file that are not UTF-8. PyAV since 19 always does, and lacks the word."""


def open_media(media: str | Path | bytes) -> InputContainer:
    """A file, by its path or from memory, whose bytes are not copied.

    Texts in it that are not UTF-8, as older programs write them, do not make it unusable.

    Raises:
        FFmpegError: it is not a file that FFmpeg knows.
        OSError: it cannot be read.
    """
    source = BytesIO(media) if isinstance(media, bytes) else str(media)
    return av.open(source, mode="r", **ANY_TEXT)


def is_decodable(stream: Stream) -> bool:
    """Whether there is a decoder for a stream; PyAV gives it no codec if there is none."""
    return getattr(stream, "codec_context", None) is not None
