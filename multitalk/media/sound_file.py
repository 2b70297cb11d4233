"""The sound of an audio or video file, decoded into a file of samples: hours of it, in bounded memory.

Shape letters: C channels, T samples.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import torch
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from ..common.errors import InputError, reason_of
from ..common.tensor_file import gathered_channels
from ..common.types import Waveform
from .media_file import is_decodable, open_media
from .mix_down import MixDown
from .mp4_sanity import claims_too_much
from .sound_blocks import Gap, gap_notes, sound_blocks
from .sound_track import LAYOUTS

MAX_HOURS = 24
"""Beyond it a file is refused: one of a few kilobytes can claim, and hold, any length of silence."""

FREE_BYTES = 2**30
"""What is left free on the disk of the temp folder."""

CHECK_BLOCKS = 256
"""Decoded blocks, of some milliseconds each, between two looks at the disk."""


def read_sound(path: Path, folder: Path, check: Callable[[], None], socket: str = "audio") -> Waveform:
    """The first sound track of a file, at its own rate and channels (more than 7 become stereo).

    What cannot be decoded of it is silent, and the sound's notes say where.

    Args:
        path: the file.
        folder: where the samples are kept if they are many.
        check: called now and then; may raise to stop.
        socket: what the file is chosen as; begins the messages.

    Raises:
        InputError: the file cannot be decoded, has no sound, or more than MAX_HOURS of it, or the folder's
            disk is full.
    """
    gaps: list[Gap] = []
    try:
        check_claims(path, socket)
        with open_media(path) as container:
            stream = _sound_stream(container, path.name, socket)
            rate_hz = stream.codec_context.sample_rate
            blocks = bounded(_blocks(container, stream, gaps), container, rate_hz, path.name, socket)
            samples_CT = gathered_channels(watched(blocks, folder, check), folder)
    except InputError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{socket}: {path.name} cannot be read as a sound ({reason_of(error)}); it is damaged, or of a "
            "kind that FFmpeg does not know: choose another, or convert it to WAV or FLAC"
        ) from error
    if not samples_CT.numel():
        raise InputError(f"{socket}: {path.name} holds no sample of sound; choose another file")
    return Waveform(samples_CT, rate_hz, gap_notes(gaps, socket, path.name))


def check_claims(path: Path, socket: str) -> None:
    """Refuse a file that names more samples than FFmpeg should believe; raises InputError, or OSError."""
    if claims_too_much(str(path)):
        raise InputError(f"{socket}: {path.name} names more samples than it has bytes; choose another file")


def _sound_stream(container: InputContainer, name: str, socket: str) -> AudioStream:
    if not container.streams.audio:
        raise InputError(f"{socket}: {name} has no sound; choose a file with a sound track")
    stream = container.streams.audio[0]
    if not is_decodable(stream):
        raise InputError(f"{socket}: {name} has a sound that FFmpeg cannot decode; convert it to WAV or FLAC")
    if stream.codec_context.sample_rate <= 0 or stream.codec_context.channels <= 0:
        raise InputError(f"{socket}: {name} names no sample rate or no channels; convert it to WAV or FLAC")
    return stream


def _blocks(container: InputContainer, stream: AudioStream, gaps: list[Gap]) -> Iterator[torch.Tensor]:
    """What is decoded, block by block, (C, T) float32."""
    channels = stream.codec_context.channels
    # PyAV ends the process when asked for the samples of 8 channels, see sound_track.LAYOUTS.
    layout = stream.codec_context.layout.name if channels <= len(LAYOUTS) else "stereo"
    mixer = MixDown(layout, stream.codec_context.sample_rate)
    return (block.samples_CT for block in sound_blocks(container, stream, mixer, gaps))


def bounded(
    blocks: Iterator[torch.Tensor], container: InputContainer, rate_hz: int, name: str, socket: str
) -> Iterator[torch.Tensor]:
    """The blocks of no more than MAX_HOURS: neither by what the file says of itself, nor by what it holds.

    Raises:
        InputError: there are more.
    """
    samples = (container.duration or 0) * rate_hz // av.time_base
    came = 0
    while True:
        if max(samples, came) > MAX_HOURS * 3600 * rate_hz:
            raise too_long(socket, name)
        block_CT = next(blocks, None)
        if block_CT is None:
            return
        came += block_CT.shape[1]
        yield block_CT


def too_long(socket: str, name: str) -> InputError:
    """What is said of a sound of more than MAX_HOURS."""
    return InputError(
        f"{socket}: {name} is longer than {MAX_HOURS} hours; cut it, and make a video of each part"
    )


def watched(
    blocks: Iterator[torch.Tensor], folder: Path | None, check: Callable[[], None]
) -> Iterator[torch.Tensor]:
    """The blocks, while there is space on the folder's disk and nobody stops.

    Raises:
        InputError: there is no space.
    """
    for number, block_CT in enumerate(blocks):
        if number % CHECK_BLOCKS == 0:
            check()
            if folder and folder.is_dir() and (free := shutil.disk_usage(folder).free) < FREE_BYTES:
                raise InputError(
                    f"temp folder: {free / 1e9:.1f} GB are left on the disk of {folder}, and a long sound is "
                    f"kept there while the run lasts. Free some space, or start ComfyUI with "
                    "--temp-directory on another disk"
                )
        yield block_CT
