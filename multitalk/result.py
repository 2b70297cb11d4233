"""What a sampler's LATENT output may be, told apart before anything is decoded.

Known forms of the dict, by whose sampler made it:

    EverTalk                 {"video": {"path": ..., "frames": ..., ...}, "output_path": path}
                             and "note": a sentence, if the run has paused
                             {"samples": latents, "has_ref": bool, "video_frames": int, "audio": AUDIO}
    WanVideoWrapper          {"video": float frames -1..1, "output_path": ""}
                             {"video": a placeholder, "output_path": folder of frame_00000.png, ...}
    core samplers            {"samples": latents}

Shape letters: B batch, C channels, T latent frames, F video frames, H height, W width.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch

from .errors import ResultError
from .picture_sequence import SOUND_NAME
from .types import Waveform

_REMEDY = "connect the LATENT output of EverTalkSampler, WanVideoWrapper's or a ComfyUI sampler to `samples`"
PICTURE_PATTERNS = ("frame_*.png", "[0-9]*.png", "[0-9]*.exr")
"""WanVideoWrapper's names, and EverTalk's."""

_EXPECTED = "'video' (a finished video, with 'output_path') or 'samples' (latents)"


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
class FramesInMemory:
    """Decoded frames, as they came: float -1..1 or uint8.

    Attributes:
        frames_FHWC: (frames, height, width, 3 or 4).
        lost_path: the output_path, if it names a file that is gone, else "".
    """

    frames_FHWC: torch.Tensor
    lost_path: str

    def unit_frames(self) -> torch.Tensor:
        """The frames as float32 0..1, (frames, height, width, 3), a new tensor on the CPU."""
        frames_FHWC = self.frames_FHWC[..., :3]
        if frames_FHWC.dtype == torch.uint8:
            return frames_FHWC.cpu().float().div_(255)
        return frames_FHWC.to("cpu", torch.float32, copy=True).clamp_(-1, 1).add_(1).div_(2)


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
    """

    latents: torch.Tensor
    video_frames: int | None
    sound: Waveform | None


Result = SavedVideo | SavedFrames | FramesInMemory | VideoObject | RawLatents


def note_of(result: object) -> str:
    """What is to be told of a result beside itself, for instance that its run has paused; or nothing."""
    return _text(cast(Mapping[str, object], result).get("note")) if isinstance(result, Mapping) else ""


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
    if isinstance(entries.get("samples"), torch.Tensor):
        return _raw(entries)
    raise _unexpected(entries)


def needs_vae(result: object) -> bool:
    """Whether a VAE has to decode this; False too for what is no sampler output at all."""
    try:
        return isinstance(classify(result), RawLatents)
    except ResultError:
        return False


def _finished(entries: Mapping[str, object], video: object, output_path: str) -> Result:
    path = output_path or _path_in(video)
    if path and Path(path).is_file():
        return SavedVideo(Path(path))
    if path and Path(path).is_dir():
        return _saved_frames(Path(path))
    if isinstance(video, torch.Tensor) and not (path and _is_placeholder(video)):
        return FramesInMemory(_frames(entries, video), path)
    if isinstance(video, HostVideo):
        return VideoObject(video, path)
    if path:
        raise ResultError(
            f"samples: the video {path} is gone (moved, renamed or deleted) and its frames are not in "
            "memory; run the sampler again, for instance after changing its seed"
        )
    raise _unexpected(entries)


def _saved_frames(folder: Path) -> SavedFrames:
    pictures = next(filter(None, (sorted(folder.glob(pattern)) for pattern in PICTURE_PATTERNS)), [])
    if not pictures:
        raise ResultError(
            f"samples: the folder {folder} holds no frame_*.png and no numbered pictures, so there is no "
            "video; run the sampler again"
        )
    sound = folder / SOUND_NAME
    numbered = sorted(pictures, key=lambda picture: (len(picture.name), picture.name))
    return SavedFrames(folder, tuple(numbered), sound if sound.is_file() else None)


def _frames(entries: Mapping[str, object], video: torch.Tensor) -> torch.Tensor:
    frames_FHWC = video[0] if video.ndim == 5 and video.shape[0] == 1 else video
    known_type = frames_FHWC.is_floating_point() or frames_FHWC.dtype == torch.uint8
    if (
        frames_FHWC.ndim != 4
        or frames_FHWC.shape[-1] not in (3, 4)
        or not frames_FHWC.numel()
        or not known_type
    ):
        raise _unexpected(entries)
    return frames_FHWC


def _raw(entries: Mapping[str, object]) -> RawLatents:
    latents = cast(torch.Tensor, entries["samples"])
    has_ref, drop_last = bool(entries.get("has_ref")), bool(entries.get("drop_last"))
    if latents.ndim not in (4, 5) or not latents.numel():
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


def _is_placeholder(video: torch.Tensor) -> bool:
    """WanVideoWrapper puts one grey 64x64 frame under `video` when it saved the frames to a folder."""
    return tuple(video.shape) == (1, 64, 64, 3) and not bool(video.any())


def _kind(value: object) -> str:
    shape = f" {tuple(value.shape)} {value.dtype}" if isinstance(value, torch.Tensor) else ""
    return f"{type(value).__name__}{shape}"


def _unexpected(entries: Mapping[str, object]) -> ResultError:
    found = describe(entries).removeprefix("Sampler output ")
    return ResultError(f"samples: Unexpected structure: {found}; expected {_EXPECTED}; {_REMEDY}")
