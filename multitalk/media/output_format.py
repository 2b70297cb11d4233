"""The forms in which a video can be written: what a window's segment is, and what the segments become.

One strategy a form. All of them keep a window as a single file in the run's folder, so that everything about
stopping, resuming and taking over is the same for all.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..common.errors import RunStoreError
from ..common.types import Waveform
from .frame_clock import FrameClock
from .frame_encoder import Frames
from .picture_codecs import Exr, PictureCodec, Png
from .picture_sequence import (
    check_archive,
    pictures_of,
    write_archive,
    write_picture_segment,
    write_sequence,
    write_workflow,
)
from .segment import FFV1, H264_MP4, HEVC, Piece, StreamForm, check_frames, remux, write_segment
from .stream_codecs import VideoSettings, has_encoder


class OutputFormat(ABC):
    """A form in which a video can be written.

    Attributes:
        name: as people choose it.
        encoder: FFmpeg's name of what writes it.
        segment_suffix: of a window's file.
        suffix: of the finished video; nothing for a folder.
        bytes_per_pixel: what a pixel takes on the disk at most, as a rule.
        min_side_px: the least width and height that its encoder is given.
        keeps_times: whether it tells when each frame is shown.
    """

    name: str
    encoder: str
    segment_suffix: str
    suffix: str
    bytes_per_pixel: float
    min_side_px: int = 1
    keeps_times: bool = True

    @property
    def is_offered(self) -> bool:
        """Whether this machine's FFmpeg can write it."""
        return has_encoder(self.encoder)

    @abstractmethod
    def write_segment(self, path: Path, frames: Frames, settings: VideoSettings) -> None:
        """Encode a window's frames to a file of their own, and read it back."""

    @abstractmethod
    def cut(self, path: Path, piece: Piece, settings: VideoSettings) -> None:
        """Make a window's file again of frames in a finished video, and read it back."""

    @abstractmethod
    def make(
        self,
        path: Path,
        pieces: Iterable[Piece],
        sound: Waveform | None,
        metadata: Mapping[str, str],
        settings: VideoSettings,
        clock: FrameClock | None = None,
        *,
        complete: bool,
    ) -> None:
        """Put segments and sound together; nothing of the picture is encoded again.

        Frames are shown as the clock tells, or at the steady rate of the settings.
        """


class StreamFormat(OutputFormat):
    """A video file: a codec in a container."""

    def __init__(self, name: str, form: StreamForm, bytes_per_pixel: float, min_side_px: int = 1) -> None:
        self.name, self.form, self.encoder = name, form, form.codec.encoder
        self.segment_suffix = self.suffix = form.suffix
        self.bytes_per_pixel, self.min_side_px = bytes_per_pixel, min_side_px

    def write_segment(self, path: Path, frames: Frames, settings: VideoSettings) -> None:
        """See OutputFormat."""
        write_segment(path, frames, settings, self.form)

    def cut(self, path: Path, piece: Piece, settings: VideoSettings) -> None:
        """See OutputFormat."""
        remux(path, [piece], None, {}, settings, self.form, complete=True)
        check_frames(path, piece.frames)

    def make(
        self,
        path: Path,
        pieces: Iterable[Piece],
        sound: Waveform | None,
        metadata: Mapping[str, str],
        settings: VideoSettings,
        clock: FrameClock | None = None,
        *,
        complete: bool,
    ) -> None:
        """See OutputFormat."""
        count = remux(path, pieces, sound, metadata, settings, self.form, clock, complete=complete)
        check_frames(path, count, clock)


class PictureFormat(OutputFormat):
    """A folder of numbered pictures, with the sound as a file beside them."""

    segment_suffix = ".zip"
    suffix = ""
    keeps_times = False

    def __init__(self, name: str, codec: PictureCodec, bytes_per_pixel: float) -> None:
        self.name, self.codec, self.encoder = name, codec, codec.suffix.removeprefix(".")
        self.bytes_per_pixel = bytes_per_pixel

    def write_segment(self, path: Path, frames: Frames, settings: VideoSettings) -> None:
        """See OutputFormat."""
        del settings  # a picture has no speed and nothing to lose
        write_picture_segment(path, frames, self.codec)

    def cut(self, path: Path, piece: Piece, settings: VideoSettings) -> None:
        """See OutputFormat."""
        del settings
        write_archive(path, pictures_of(piece, self.codec.suffix), self.codec.suffix)
        check_archive(path, piece.frames)

    def make(
        self,
        path: Path,
        pieces: Iterable[Piece],
        sound: Waveform | None,
        metadata: Mapping[str, str],
        settings: VideoSettings,
        clock: FrameClock | None = None,
        *,
        complete: bool,
    ) -> None:
        """See OutputFormat."""
        del clock  # pictures have no times, which whoever chose them was told
        count = write_sequence(path, pieces, self.codec.suffix, sound, settings, complete=complete)
        write_workflow(path, metadata)
        found = sum(1 for _ in path.glob(f"*{self.codec.suffix}"))
        if found != count:
            raise RunStoreError(f"{path.name} has {found} pictures after {count} were written")


MP4_H264 = StreamFormat("mp4 (h264)", H264_MP4, 0.05)
MP4_HEVC10 = StreamFormat("mp4 10-bit (hevc)", HEVC, 0.05, min_side_px=64)
"""x265 works on blocks of 64 pixels, and is not relied on for pictures that are smaller than one."""
MKV_FFV1 = StreamFormat("mkv lossless (ffv1)", FFV1, 3.75)
PNG_SEQUENCE = PictureFormat("png sequence", Png(), 3.0)
EXR_SEQUENCE = PictureFormat("exr sequence", Exr(), 6.0)

OUTPUT_FORMATS: tuple[OutputFormat, ...] = (MP4_H264, MP4_HEVC10, MKV_FFV1, PNG_SEQUENCE, EXR_SEQUENCE)
"""All forms, the default first."""


def offered_formats() -> dict[str, OutputFormat]:
    """The forms that this machine's FFmpeg can write, by name."""
    return {form.name: form for form in OUTPUT_FORMATS if form.is_offered}
