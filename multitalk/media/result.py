"""What a sampler's LATENT output may be, told apart before anything is decoded.

Known forms of the dict, by whose sampler made it:

    EverTalk                 {"video": {"path": ..., "frames": ..., ...}, "output_path": path}
                             and "note": a sentence, if the run has paused; "windows": their figures
                             {"samples": latents, "has_ref": bool, "video_frames": int, "audio": AUDIO}
    WanVideoWrapper          {"video": float frames -1..1, "output_path": ""}
                             {"video": a placeholder, "output_path": folder of frame_00000.png, ...}
    core samplers            {"samples": latents}

Shape letters: B batch, C channels, T latent frames, F video frames, H height, W width.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch

from ..common.errors import ResultError
from ..common.types import Waveform
from .frames_in_memory import FramesInMemory, frames_of
from .picture_sequence import SOUND_NAME

_REMEDY = "connect the LATENT output of EverTalkSampler, WanVideoWrapper's or a ComfyUI sampler to `samples`"
PICTURE_PATTERNS = ("frame_*.png", "[0-9]*.png", "[0-9]*.exr")
"""WanVideoWrapper's names, and EverTalk's."""

_EXPECTED = (
    "'video' (a finished video: its file, with 'output_path', or frames (frames, height, width, 3) from -1 "
    "to 1) or 'samples' (latents)"
)


@runtime_checkable
class HostVideo(Protocol):
    """What ComfyUI's VIDEO values have in common."""

    def get_components(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class SavedVideo:
    """A video file that exists."""

    path: Path


@dataclass(frozen=True, slots=True)
class SavedFrames:
    """A folder of pictures that exists: EverTalk's sequences, and WanVideoWrapper's windows.

    Attributes:
        folder: it.
        pictures: in order, at least one.
        sound: the file of their sound, or None.
    """

    folder: Path
    pictures: tuple[Path, ...]
    sound: Path | None = None


@dataclass(frozen=True, slots=True)
class VideoObject:
    """A VIDEO value of the host.

    Attributes:
        video: the value.
        lost_path: as in FramesInMemory.
    """

    video: HostVideo
    lost_path: str


@dataclass(frozen=True, slots=True)
class RawLatents:
    """Latents that a VAE has to decode.

    Attributes:
        latents: (batch, channels, latent frames, height, width) or, of image models, without the frames; the
            reference frame and a surplus last one are already dropped.
        video_frames: frames to keep after decoding, or None for all.
        sound: the sound that belongs to them, or None.
        lost_path: as in FramesInMemory.
    """

    latents: torch.Tensor
    video_frames: int | None
    sound: Waveform | None
    lost_path: str = ""


Result = SavedVideo | SavedFrames | FramesInMemory | VideoObject | RawLatents


def note_of(result: object) -> str:
    """What is to be told of a result beside itself, for instance that its run has paused; or nothing."""
    return _text(cast(Mapping[str, object], result).get("note")) if isinstance(result, Mapping) else ""


def windows_of(result: object) -> object:
    """What a result lists of its windows; None if it does not."""
    return cast(Mapping[str, object], result).get("windows") if isinstance(result, Mapping) else None


def describe(result: object) -> str:
    """One line for the log: the type of what came in, and the keys with their types or shapes."""
    if not isinstance(result, Mapping):
        return f"Sampler output type: {type(result).__name__}"
    entries = cast(Mapping[object, object], result)
    keys = ", ".join(f"{key} ({_kind(value)})" for key, value in sorted(entries.items(), key=str))
    return f"Sampler output type: {type(result).__name__}, keys: {keys or 'none'}"


def classify(result: object) -> Result:
    """Tell which form of sampler output this is; no file is read and nothing is decoded.

    Raises:
        ResultError: none of the known forms, or a file that is gone with nothing left in memory.
    """
    if not isinstance(result, Mapping):
        raise ResultError(
            f"samples: Unexpected structure: a {type(result).__name__}, expected a dict with {_EXPECTED}; "
            f"{_REMEDY}"
        )
    entries = cast(Mapping[str, object], result)
    video, output_path = entries.get("video"), _text(entries.get("output_path"))
    if video is not None or ("video" in entries and output_path):
        return _finished(entries, video, output_path)
    if _latents(entries) is not None:
        return _raw(entries)
    raise _unexpected(entries)


def needs_vae(result: object) -> bool:
    """Whether a VAE has to decode this; False too for what is not a sampler output at all."""
    try:
        return isinstance(classify(result), RawLatents)
    except ResultError:
        return False


def _finished(entries: Mapping[str, object], video: object, output_path: str) -> Result:
    path = output_path or _path_in(video)
    # Not Path's: of a name that no disk could hold these say that it is not there.
    if os.path.isfile(path):  # noqa: PTH113
        return SavedVideo(Path(path))
    frames_FHWC = None if path and _is_placeholder(video) else frames_of(video)
    is_folder = os.path.isdir(path)  # noqa: PTH112
    if is_folder and (frames_FHWC is None or _pictures_in(Path(path))):
        return _saved_frames(Path(path))
    if frames_FHWC is not None:
        return FramesInMemory(frames_FHWC, path)
    if isinstance(video, HostVideo):
        return VideoObject(video, path)
    if path and _latents(entries) is not None:
        return replace(_raw(entries), lost_path=path)
    if path:
        raise ResultError(
            f"samples: the video {path} is gone (moved, renamed or deleted) and its frames are not in "
            "memory; run the sampler again, for instance after changing its seed"
        )
    raise _unexpected(entries)


def _saved_frames(folder: Path) -> SavedFrames:
    pictures = _pictures_in(folder)
    if not pictures:
        raise ResultError(
            f"samples: the folder {folder} holds no frame_*.png and no numbered pictures, so there is no "
            "video; run the sampler again"
        )
    sound = folder / SOUND_NAME
    numbered = sorted(pictures, key=lambda picture: (len(picture.name), picture.name))
    return SavedFrames(folder, tuple(numbered), sound if sound.is_file() else None)


def _pictures_in(folder: Path) -> list[Path]:
    return next(filter(None, (list(folder.glob(pattern)) for pattern in PICTURE_PATTERNS)), [])


def _latents(entries: Mapping[str, object]) -> torch.Tensor | None:
    """What is under `samples`: latents, or the first of several, which models with sound have."""
    samples = entries.get("samples")
    if not isinstance(samples, torch.Tensor) and hasattr(samples, "unbind"):
        samples = cast("Any", samples).unbind()[0]
    return samples if isinstance(samples, torch.Tensor) else None


def _raw(entries: Mapping[str, object]) -> RawLatents:
    latents = _latents(entries)
    has_ref, drop_last = bool(entries.get("has_ref")), bool(entries.get("drop_last"))
    if latents is None or latents.ndim not in (4, 5) or not latents.numel():
        raise _unexpected(entries)
    if (has_ref or drop_last) and (latents.ndim != 5 or latents.shape[2] <= has_ref + drop_last):
        raise ResultError(
            f"samples: has_ref or drop_last says that a frame is to be dropped from latents of shape "
            f"{tuple(latents.shape)}, but no frame would be left; {_REMEDY}"
        )
    if has_ref:
        latents = latents[:, :, 1:]
    if drop_last:
        latents = latents[:, :, :-1]
    video_frames = entries.get("video_frames")
    if video_frames is not None and not (isinstance(video_frames, int) and video_frames > 0):
        raise ResultError(
            f"samples: video_frames is {video_frames!r}, expected a whole number from 1 on; {_REMEDY}"
        )
    return RawLatents(latents, video_frames, _sound(entries.get("audio")))


def _sound(audio: object) -> Waveform | None:
    if audio is None:
        return None
    entries = cast(Mapping[str, object], audio) if isinstance(audio, Mapping) else {}
    waveform, rate_hz = entries.get("waveform"), entries.get("sample_rate")
    if not isinstance(waveform, torch.Tensor) or waveform.ndim != 3 or not isinstance(rate_hz, int):
        raise ResultError(
            f"samples: its audio is {describe(audio).removeprefix('Sampler output ')}, expected an AUDIO "
            f"with 'waveform' (batch, channels, samples) and 'sample_rate'; {_REMEDY}"
        )
    return Waveform(waveform[0], rate_hz)


def _path_in(video: object) -> str:
    return (
        _text(cast(Mapping[str, object], video).get("path")) if isinstance(video, Mapping) else _text(video)
    )


def _text(value: object) -> str:
    return os.fspath(value) if isinstance(value, (str, Path)) else ""


def _is_placeholder(video: object) -> bool:
    """WanVideoWrapper puts one grey 64x64 frame under `video` when it saved the frames to a folder."""
    return isinstance(video, torch.Tensor) and tuple(video.shape) == (1, 64, 64, 3) and not bool(video.any())


def _kind(value: object) -> str:
    shape = f" {tuple(value.shape)} {value.dtype}" if isinstance(value, torch.Tensor) else ""
    return f"{type(value).__name__}{shape}"


def _unexpected(entries: Mapping[str, object]) -> ResultError:
    found = describe(entries).removeprefix("Sampler output ")
    return ResultError(f"samples: Unexpected structure: {found}; expected {_EXPECTED}; {_REMEDY}")
