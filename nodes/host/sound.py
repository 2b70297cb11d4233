"""ComfyUI's AUDIO and the pack's Waveform."""

from collections.abc import Mapping
from typing import Any, cast

from ...multitalk.errors import InputError
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
