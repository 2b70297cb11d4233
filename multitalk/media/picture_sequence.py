"""Windows as archives of pictures, and the folder of pictures that they become.

A window's pictures are kept in one archive, stored and not packed, so that it is a file like any segment:
whole or not there. The finished folder has them numbered through from 1, with the sound beside them.

Shape letters: H height, W width.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av

from ..common.atomic_file import flush_file
from ..common.errors import RunStoreError
from ..common.types import Waveform
from .frame_encoder import Frames
from .picture_codecs import PictureCodec
from .segment import Piece
from .sound_track import PCM, SoundTrack
from .stream_codecs import VideoSettings

SOUND_NAME = "sound.wav"
WORKFLOW_NAME = "workflow.json"
WAV_OPTIONS = {"fflags": "bitexact", "rf64": "auto"}
"""Beyond 4 GB a plain WAV cannot tell its length."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Of all archive entries: the same input gives the same bytes."""


def picture_name(number: int, suffix: str) -> str:
    """File name of a picture; numbers of more than six digits sort last."""
    return f"{number:06}{suffix}"


def write_archive(path: Path, pictures: Iterable[bytes], suffix: str) -> None:
    """Keep pictures in one archive. Raises OSError."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, picture in enumerate(pictures):
            entry = zipfile.ZipInfo(picture_name(number, suffix), _EPOCH)
            entry.create_system = 0
            archive.writestr(entry, picture)


def write_picture_segment(path: Path, frames: Frames, codec: PictureCodec) -> None:
    """Encode a window's frames, (H, W, 3) each, 0..1, to an archive.

    Raises:
        OSError: the disk is full or the folder gone.
        RunStoreError: what is there is not what was written.
    """
    write_archive(path, (codec.encode(frame_HWC) for frame_HWC in frames), codec.suffix)
    check_archive(path, len(frames))


def check_archive(path: Path, expected: int) -> None:
    """Read an archive back that was just written.

    Raises:
        RunStoreError: a picture is damaged, or some are missing.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged, found = archive.testzip(), len(archive.namelist())
    except zipfile.BadZipFile as error:
        raise RunStoreError(f"{path.name} cannot be read back after it was written ({error})") from error
    if damaged is not None or found != expected:
        raise RunStoreError(f"{path.name} has {found} pictures after {expected} were written")


def pictures_of(piece: Piece, suffix: str) -> Iterator[bytes]:
    """A piece's pictures, from an archive or from a finished folder.

    Raises:
        RunStoreError: one is missing.
        OSError: it cannot be read.
    """
    if piece.path.is_dir():
        for number in range(piece.start + 1, piece.start + piece.frames + 1):
            yield (piece.path / picture_name(number, suffix)).read_bytes()
        return
    try:
        with zipfile.ZipFile(piece.path) as archive:
            for number in range(piece.start, piece.start + piece.frames):
                entry = archive.getinfo(picture_name(number, suffix))
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise RunStoreError(f"{piece.path.name} is packed, which EverTalk's archives never are")
                yield archive.read(entry)
    except (zipfile.BadZipFile, KeyError) as error:
        raise RunStoreError(f"{piece.path.name} is damaged ({error})") from error


def write_sequence(
    folder: Path,
    pieces: Iterable[Piece],
    suffix: str,
    sound: Waveform | None,
    settings: VideoSettings,
    *,
    complete: bool,
) -> int:
    """Make a folder of numbered pictures and their sound; each file is on the disk when this returns.

    Args:
        folder: to be made.
        pieces: in order.
        suffix: of the pictures.
        sound: from sample 0 on, or None.
        settings: for the frames a second.
        complete: the whole sound is written; else it is cut to the frames.

    Returns:
        how many pictures there are.

    Raises:
        RunStoreError: a picture is missing.
        OSError: the disk is full or the folder gone (FFmpeg's errors are such).
    """
    folder.mkdir()
    count = 0
    for piece in pieces:
        for picture in pictures_of(piece, suffix):
            count += 1
            _write_flushed(folder / picture_name(count, suffix), picture)
    if sound is not None and sound.samples_CT.shape[-1]:
        _write_sound(folder / SOUND_NAME, sound, settings.fps, None if complete else count)
    return count


def write_workflow(folder: Path, metadata: Mapping[str, str]) -> None:
    """Keep what the host writes into video files; pictures have no common place for it."""
    if metadata:
        values = {name: json.loads(text) for name, text in metadata.items()}
        _write_flushed(folder / WORKFLOW_NAME, json.dumps(values).encode())


def _write_flushed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    flush_file(path)


def _write_sound(path: Path, sound: Waveform, fps: Fraction, frames: int | None) -> None:
    with av.open(str(path), "w", format="wav", options=WAV_OPTIONS) as container:
        track = SoundTrack(container, sound, fps, PCM)
        if frames is None:
            track.take_rest()
        else:
            track.advance(frames)
        track.flush()
    flush_file(path)
