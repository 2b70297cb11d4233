"""ComfyUI's AUDIO and sound files, and the pack's Waveform."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import comfy.model_management
import folder_paths

from ...multitalk.errors import InputError
from ...multitalk.fingerprint import fingerprint_file
from ...multitalk.sound_file import read_sound
from ...multitalk.types import Waveform
from ...multitalk.waveform import check_sound


def waveform_of(audio: object, socket: str = "audio") -> Waveform:
    """The checked sound of an AUDIO value.

    Args:
        audio: what the socket holds; None: nothing is connected, or the node before gave nothing.
        socket: its name, for messages.

    Raises:
        InputError: there is no sound, more than one clip, or a sound that cannot be spoken.
    """
    if audio is None:
        raise InputError(
            f"{socket}: there is no sound; connect Load Audio, or a video that has a sound track"
        )
    if not isinstance(audio, Mapping) or not {"waveform", "sample_rate"} <= audio.keys():
        raise InputError(
            f"{socket}: got {type(audio).__name__}, expected an AUDIO value with waveform and sample_rate; "
            "connect Load Audio"
        )
    value = cast(Mapping[str, Any], audio)
    samples_BCT = value["waveform"]
    if samples_BCT.ndim != 3 or samples_BCT.shape[0] != 1:
        raise InputError(
            f"{socket}: got samples of shape {tuple(samples_BCT.shape)}, expected one clip (1, channels, "
            "time); pass the clips of a batch one by one, or join them to one"
        )
    sound = Waveform(samples_BCT[0].float().cpu(), int(value["sample_rate"]))
    check_sound(sound, socket)
    return sound


def audio_of(sound: Waveform) -> dict[str, Any]:
    """The AUDIO value of a sound."""
    return {"waveform": sound.samples_CT[None], "sample_rate": sound.sample_rate_hz}


def temp_folder() -> Path:
    """Where what is too long for memory is kept while it is needed."""
    return Path(folder_paths.get_temp_directory())


def list_sound_files() -> list[str]:
    """Audio and video files in the host's input folder."""
    names = os.listdir(folder_paths.get_input_directory())  # noqa: PTH208  # names, as the host wants them
    return sorted(folder_paths.filter_files_content_types(names, ["audio", "video"]))


def sound_file_path(name: str) -> Path:
    """Where a file lies that was chosen from list_sound_files or uploaded.

    Raises:
        InputError: it is not there, or not in the host's folders.
    """
    try:
        path = Path(folder_paths.get_annotated_filepath(name))
        known = path.is_file()
    except (OSError, ValueError) as error:
        raise InputError(f"audio: {name!r} is no name of a file ({error}); choose another") from error
    folders = (folder_paths.get_input_directory(), folder_paths.get_output_directory(), temp_folder())
    # By its name: links inside of these folders are the user's own.
    inside = ".." not in path.parts and any(path.is_relative_to(folder) for folder in folders)
    if not known or not inside:
        raise InputError(
            f"audio: there is no file {name} in ComfyUI's input folder; put it there and reload the page, or "
            "choose another"
        )
    return path


def sound_file_fingerprint(name: str) -> str:
    """The fingerprint of a file's bytes."""
    return fingerprint_file(sound_file_path(name))


def load_sound(name: str) -> Waveform:
    """The sound of a file; one that is long lies in the temp folder.

    Raises:
        InputError: see sound_file_path and multitalk.sound_file.
    """
    check = comfy.model_management.throw_exception_if_processing_interrupted
    return read_sound(sound_file_path(name), temp_folder(), check)
