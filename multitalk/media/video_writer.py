"""A video file that grows with the windows: H.264 and AAC in mp4, frames encoded as they come.

Shape letters: F frames, H height, W width; the last axis of frames is red, green, blue.
"""

import contextlib
from pathlib import Path
from types import TracebackType

import av
import torch
from av.error import FFmpegError

from ..common.errors import InputError
from ..common.types import Waveform
from .frame_encoder import FrameEncoder
from .sound_track import SoundTrack
from .stream_codecs import VideoSettings

MP4_OPTIONS = {
    # the index first, for browsers; keys of any name, so that ComfyUI finds the workflow in a dropped file
    "movflags": "faststart+use_metadata_tags",
    "fflags": "bitexact",  # no library version in the file: the same input gives the same bytes
}


class VideoWriter:
    """Context manager that writes frames and sound to an mp4 file.

    The file has a temporary name beside `path` until it is closed. If the `with` block ends with an
    exception, or without a frame, no file stays behind.

    Args:
        path: the file's final name, in an existing folder; a file of that name is replaced.
        width, height: pixels, both even.
        sound: muxed from sample 0 on, whole, or None for a silent file.
        settings: encoder settings.

    Raises:
        InputError: an odd or empty size.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        sound: Waveform | None,
        settings: VideoSettings | None = None,
    ) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise InputError(
                f"size: a video of {width}x{height} pixels cannot be written, since H.264 stores colour for "
                "every second pixel; choose an even width and height (EverTalk's are multiples of 16)"
            )
        self._path = path
        self._count = 0
        self._size = (height, width)
        self._sound = sound if sound is not None and sound.samples_CT.shape[-1] else None
        self._settings = settings or VideoSettings()
        self._part_path = path.with_name(f"{path.stem}.part.mp4")

    def __enter__(self) -> "VideoWriter":
        settings = self._settings
        self._container = av.open(str(self._part_path), "w", format="mp4", options=MP4_OPTIONS)
        self._frames = FrameEncoder(self._container, *self._size, settings)
        self._track = (
            SoundTrack(self._container, self._sound, settings.fps) if self._sound is not None else None
        )
        return self

    def write(self, frames_FHWC: torch.Tensor) -> None:
        """Encode frames, 0..1, (frames, height, width, 3), and the sound that belongs to them."""
        assert tuple(frames_FHWC.shape[1:]) == (*self._size, 3), f"frames of {tuple(frames_FHWC.shape)}"
        for frame_HWC in frames_FHWC:
            self._frames.encode(frame_HWC)
            self._count += 1
            if self._track is not None:
                self._track.advance(self._count)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if exc_type is None and self._count:
                self._finish()
        finally:
            # The error that ended the block is the one to be told.
            with contextlib.suppress(FFmpegError, OSError):
                self._container.close()
            self._part_path.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._track is not None:
            self._track.take_rest()
        self._frames.flush()
        if self._track is not None:
            self._track.flush()
        self._container.close()
        self._part_path.replace(self._path)
