"""ComfyUI's AUDIO and sound files, and the pack's Waveform."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import comfy.model_management
import folder_paths
import torch

from ....multitalk.common.errors import InputError
from ....multitalk.common.fingerprint import fingerprint_file
from ....multitalk.common.types import Waveform
from ....multitalk.media.sample_values import float_samples, is_interleaved, split_channels, surround_channels
from ....multitalk.media.sound_file import read_sound
from ....multitalk.speech.waveform import check_sound, peak_notes

NOTES = "evertalk_notes"
"""Beside waveform and sample_rate: what the pack's own nodes have to say about a sound. Others let it be."""


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
    samples_CT = samples_BCT[0].cpu()
    sound = Waveform(float_samples(samples_CT, socket), int(value["sample_rate"]), notes_of(value))
    peak = check_sound(sound, socket)
    if not samples_CT.is_floating_point() and (channels := surround_channels(sound.samples_CT)):
        raise InputError(
            f"{socket}: the sound is one channel of {sound.duration_s:.2f} s in which {channels} channels "
            "lie in turn, so it would be spoken far too slowly. ComfyUI's Get Video Components does so to "
            "some: choose its file in EverTalk Load Speech instead"
        )
    if is_interleaved(sound.samples_CT):
        sound = two_channels(sound, samples_CT.dtype, socket)
    return replace(sound, notes=(*sound.notes, *peak_notes(peak, socket)))


def notes_of(audio: Mapping[str, Any]) -> tuple[str, ...]:
    """What an AUDIO value says of itself; a value that other nodes made says nothing."""
    notes = audio.get(NOTES, ())
    return tuple(str(note) for note in notes) if isinstance(notes, tuple) else ()


def two_channels(sound: Waveform, came_as: torch.dtype, socket: str) -> Waveform:
    """A sound whose one channel holds two, taken apart if it came undecoded from a file.

    Raises:
        InputError: it came as float32, as which nothing else tells that it really is two.
    """
    if came_as in (torch.float32, torch.float16, torch.bfloat16):
        raise InputError(
            f"{socket}: the sound is one channel of {sound.duration_s:.2f} s in which left and right lie in "
            "turn, so it would be spoken at half speed. ComfyUI's Get Video Components does so to some: "
            "choose its file in EverTalk Load Speech instead. If it really is one channel, give it as two"
        )
    apart = Waveform(split_channels(sound.samples_CT), sound.sample_rate_hz, sound.notes)
    note = (
        f"{socket}: the sound came as one channel of {sound.duration_s:.2f} s in which left and right lay in "
        f"turn (Get Video Components does so); it was taken apart into two of {apart.duration_s:.2f} s."
    )
    return replace(apart, notes=(*apart.notes, note))


def audio_of(sound: Waveform) -> dict[str, Any]:
    """The AUDIO value of a sound."""
    value: dict[str, Any] = {"waveform": sound.samples_CT[None], "sample_rate": sound.sample_rate_hz}
    return {**value, NOTES: sound.notes} if sound.notes else value


def temp_folder() -> Path:
    """Where what is too long for memory is kept while it is needed."""
    return Path(folder_paths.get_temp_directory())


def stop_if_asked() -> None:
    """Raise what the host ends a node with, if somebody has interrupted the job."""
    comfy.model_management.throw_exception_if_processing_interrupted()


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
        raise InputError(f"audio: {name!r} is not the name of a file ({error}); choose another") from error
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
        InputError: see sound_file_path and multitalk.media.sound_file.
    """
    return read_sound(sound_file_path(name), temp_folder(), stop_if_asked)
