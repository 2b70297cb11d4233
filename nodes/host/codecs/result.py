"""From a sampler's result to the host's IMAGE and VIDEO, and to the preview under the node.

Shape letters: F frames, H height, W width.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import Input, InputImpl, Types, io, ui

from ....multitalk.common.errors import ResultError
from ....multitalk.common.types import FPS, Waveform
from ....multitalk.media.frames_in_memory import FramesInMemory
from ....multitalk.media.picture_reader import read_pictures
from ....multitalk.media.result import RawLatents, Result, SavedFrames, SavedVideo, VideoObject
from ....multitalk.media.stream_codecs import VideoSettings
from ....multitalk.media.video_reader import codec_of, frames_of, read_frames, read_sound
from ....multitalk.media.video_writer import VideoWriter
from ..report.progress import warn_on_node
from .vae import decode_all

LOG = logging.getLogger("evertalk")

_QUICK = VideoSettings(crf=20, preset="veryfast")
_NAME = "EverTalk_decode"
VIDEO_DIMS, BATCHED_VIDEO_DIMS = 3, 5
"""Frames, height and width, as the host's VAEs count them; latents have batch and channels besides."""

PLAYABLE_CODECS = ("h264", "vp8", "vp9", "av1")


@dataclass(frozen=True, slots=True)
class Opened:
    """A result in the host's terms.

    Attributes:
        images_FHWC: the frames, 0..1, or None where they were not asked for.
        video: the host's VIDEO.
        output_path: the file or folder that the sampler saved, or "".
        preview: a playable file of the same frames.
    """

    images_FHWC: torch.Tensor | None
    video: Input.Video
    output_path: str
    preview: Path


def open_result(result: Result, vae: Any, *, want_images: bool) -> Opened:
    """Make IMAGE and VIDEO of a result; the VAE is touched for latents only.

    Raises:
        ResultError: latents without a VAE, or a saved video that cannot be read.
    """
    if isinstance(result, RawLatents):
        if result.lost_path:
            LOG.warning("The saved video %s is gone; its latents are decoded instead", result.lost_path)
        return _decode(result, vae)
    LOG.info("Sampler returned decoded video, using directly")
    if isinstance(result, SavedVideo):
        LOG.info("Video already saved to: %s", result.path)
        images_FHWC = _logged(read_frames(result.path)) if want_images else None
        video = InputImpl.VideoFromFile(str(result.path))
        return Opened(images_FHWC, video, str(result.path), playable(result.path))
    if isinstance(result, SavedFrames):
        LOG.info("Video already saved to: %s (%d pictures)", result.folder, len(result.pictures))
        return _from_pictures(result, want_images=want_images)
    if result.lost_path:
        LOG.warning("The saved video %s is gone; its frames in memory are used instead", result.lost_path)
    if isinstance(result, FramesInMemory):
        frames_FHWC, notes = result.unit_frames()
        for note in notes:
            warn_on_node(note)
        return _from_frames(frames_FHWC, None)
    return _from_video(result, want_images=want_images)


def preview_ui(path: Path) -> ui.PreviewVideo | dict[str, Any]:
    """The video under the node; nothing for a file outside the folders that the host serves."""
    for kind, folder in (
        (io.FolderType.output, folder_paths.get_output_directory()),
        (io.FolderType.temp, folder_paths.get_temp_directory()),
        (io.FolderType.input, folder_paths.get_input_directory()),
    ):
        if path.resolve().is_relative_to(Path(folder).resolve()):
            inside = path.resolve().relative_to(Path(folder).resolve())
            subfolder = "" if inside.parent == Path() else inside.parent.as_posix()
            return ui.PreviewVideo([ui.SavedResult(inside.name, subfolder, kind)])
    LOG.info("No preview: %s is outside ComfyUI's output, temp and input folders", path)
    return {}


def _decode(result: RawLatents, vae: Any) -> Opened:
    check_latents(result.latents, vae)
    shape = tuple(result.latents.shape)
    LOG.info("Sampler returned latents, the VAE decodes latents of shape %s", shape)
    return _from_frames(decode_all(vae, result.latents)[: result.video_frames], result.sound)


def check_latents(latents: torch.Tensor, vae: Any) -> None:
    """Refuse latents that this VAE cannot decode, before it loads onto the device.

    Raises:
        ResultError: no VAE, one of another model, or latents that hold no numbers.
    """
    shape = tuple(latents.shape)
    if vae is None:
        raise ResultError(
            f"vae: nothing is connected, but `samples` holds raw latents of shape {shape}; connect a VAE "
            "(for Wan2.1 models: Load VAE with wan_2.1_vae.safetensors)"
        )
    # VAEs of other packs may not say what they take.
    channels, is_video = (
        getattr(vae, "latent_channels", shape[1]),
        getattr(vae, "latent_dim", 2) == VIDEO_DIMS,
    )
    if shape[1] != channels or (is_video and latents.ndim != BATCHED_VIDEO_DIMS):
        takes = "(batch, channels, frames, height, width)" if is_video else "(batch, channels, height, width)"
        raise ResultError(
            f"vae: it decodes latents {takes} of {channels} channels, but `samples` holds {shape}; connect "
            "the VAE that belongs to the sampler's model (for Wan2.1 models: wan_2.1_vae.safetensors)"
        )
    if not torch.isfinite(latents).all():
        raise ResultError(
            "samples: the latents hold NaN or infinite values, so there is no picture in them; choose "
            "another attention mode or precision in the model loader, and run the sampler again"
        )


def _from_frames(frames_FHWC: torch.Tensor, sound: Waveform | None) -> Opened:
    audio = None
    if sound is not None:
        audio = Input.Audio(waveform=sound.samples_CT[None], sample_rate=sound.sample_rate_hz)
    components = Types.VideoComponents(images=frames_FHWC, frame_rate=Fraction(FPS), audio=audio)
    preview = _temp_path()
    height, width = (
        frames_FHWC.shape[1] // 2 * 2,
        frames_FHWC.shape[2] // 2 * 2,
    )  # H.264 has even sizes only
    with VideoWriter(preview, width, height, sound, _QUICK) as writer:
        writer.write(frames_FHWC[:, :height, :width, :3])
    return Opened(_logged(frames_FHWC), InputImpl.VideoFromComponents(components), "", preview)


def _from_pictures(result: SavedFrames, *, want_images: bool) -> Opened:
    path = _temp_path()
    sound = None if result.sound is None else read_sound(result.sound)
    _write_frames(path, read_pictures(result.pictures), sound, VideoSettings())
    images_FHWC = _logged(torch.stack(list(read_pictures(result.pictures)))) if want_images else None
    return Opened(images_FHWC, InputImpl.VideoFromFile(str(path)), str(result.folder), path)


def playable(path: Path) -> Path:
    """The video itself where browsers play its codec, else an H.264 copy for them in the temp folder."""
    if codec_of(path) in PLAYABLE_CODECS:
        return path
    copy = _temp_path()
    _write_frames(copy, frames_of(path), read_sound(path), _QUICK)
    return copy


def _write_frames(
    path: Path, frames: Iterator[torch.Tensor], sound: Waveform | None, settings: VideoSettings
) -> None:
    """Frames (H, W, 3) of even sizes to an mp4, one at a time."""
    first_HWC = next(frames)
    with VideoWriter(path, first_HWC.shape[1], first_HWC.shape[0], sound, settings) as writer:
        writer.write(first_HWC[None])
        for frame_HWC in frames:
            writer.write(frame_HWC[None])


def _from_video(result: VideoObject, *, want_images: bool) -> Opened:
    video = result.video
    if not isinstance(video, Input.Video):
        raise ResultError(
            f"samples: Unexpected structure: 'video' is a {type(video).__name__}, expected frames, a path or "
            "ComfyUI's VIDEO; connect the LATENT output of a sampler"
        )
    images_FHWC = _logged(video.get_components().images) if want_images else None
    source = video.get_stream_source() if isinstance(video, InputImpl.VideoFromFile) else None
    if isinstance(source, str):
        return Opened(images_FHWC, video, source, Path(source))
    preview = _temp_path()
    video.save_to(str(preview))
    return Opened(images_FHWC, video, "", preview)


def _temp_path() -> Path:
    folder, name, counter, _, _ = folder_paths.get_save_image_path(_NAME, folder_paths.get_temp_directory())
    return Path(folder) / f"{name}_{counter:05}_.mp4"


def _logged(images_FHWC: torch.Tensor) -> torch.Tensor:
    megabytes = images_FHWC.numel() * images_FHWC.element_size() / 1e6
    LOG.info("IMAGE: %d frames in memory, %.0f MB", images_FHWC.shape[0], megabytes)
    return images_FHWC
