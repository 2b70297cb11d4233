"""A video file that grows with the windows: H.264 and AAC in mp4, frames encoded as they come.

Shape letters: F frames, H height, W width; the last axis of frames is red, green, blue.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import av
import torch
from av.error import FFmpegError

from ..common.errors import InputError
from ..common.types import Waveform
from .frame_encoder import FrameEncoder
from .sound_track import SoundTrack
from .video_settings import VideoSettings

LOG = logging.getLogger("evertalk")

MP4_OPTIONS = {
    # the index first, for browsers; keys of any name, so that ComfyUI finds the workflow in a dropped file
    "movflags": "faststart+use_metadata_tags",
    "fflags": "bitexact",  # no library version in the file: the same input gives the same bytes
}


@dataclass(frozen=True, slots=True)
class WrittenVideo:
    """A closed file.

    Attributes:
        path: where it stands.
        frames: video frames in it.
        complete: False for a run that ended early; its sound is cut to its frames.
    """

    path: Path
    frames: int
    complete: bool


class VideoWriter:
    """Context manager that writes frames and sound to an mp4 file.

    The file has a temporary name beside `path` until it is closed. If the `with` block ends with an
    exception, what was written becomes a playable file `..._incomplete.mp4`, its sound cut to its frames.
    Without a frame no file stays behind.

    Args:
        path: the file's final name, in an existing folder; a file of that name is replaced.
        width, height: pixels, both even.
        sound: muxed from sample 0 on, whole, or None for a silent file.
        settings: encoder settings.
        metadata: text by key, for instance ComfyUI's "prompt" and "workflow" as JSON.

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
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise InputError(
                f"size: a video of {width}x{height} pixels cannot be written, since H.264 stores colour for "
                "every second pixel; choose an even width and height (EverTalk's are multiples of 16)"
            )
        self.path = path
        self.frames_written = 0
        self.written: WrittenVideo | None = None
        self._size = (height, width)
        self._sound = sound if sound is not None and sound.samples_CT.shape[-1] else None
        self._settings = settings or VideoSettings()
        self._metadata = dict(metadata or {})
        self._part_path = path.with_name(f"{path.stem}.part.mp4")

    def __enter__(self) -> "VideoWriter":
        settings = self._settings
        self._container = av.open(str(self._part_path), "w", format="mp4", options=MP4_OPTIONS)
        self._container.metadata.update(self._metadata)
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
            self.frames_written += 1
            if self._track is not None:
                self._track.advance(self.frames_written)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.frames_written == 0:
            self._container.close()
            self._part_path.unlink(missing_ok=True)
        elif exc_type is None:
            self._close(self.path, complete=True)
        else:
            self._rescue()

    def _close(self, path: Path, *, complete: bool) -> None:
        if self._track is not None and complete:
            self._track.take_rest()
        self._frames.flush()
        if self._track is not None:
            self._track.flush()
        self._container.close()
        self._part_path.replace(path)
        self.written = WrittenVideo(path, self.frames_written, complete)

    def _rescue(self) -> None:
        path = _free_path(self.path.with_name(f"{self.path.stem}_incomplete.mp4"))
        try:
            self._close(path, complete=False)
        except (FFmpegError, OSError) as error:
            # The error that ended the run goes on to the caller; this one must not hide it.
            LOG.error(  # noqa: TRY400
                "The unfinished video could not be closed (%s); its data are in %s", error, self._part_path
            )
        else:
            LOG.warning("The run ended early; %d finished frames are in %s", self.frames_written, path)


def _free_path(path: Path) -> Path:
    """The path itself, or with _2, _3, ... the first that is free: an earlier rescue is never replaced."""
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}_{number}{path.suffix}")
    return free
