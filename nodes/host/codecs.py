"""The host's VAE as the window loop wants it: frames to latents and back.

Shape letters: F video frames, H and W pixels or latent rows and columns, C channels, B batch, T latent
frames.
"""

from typing import Any

import torch

from ...multitalk.errors import InputError
from ...wanvideo.geometry import LATENT_CHANNELS, SPACE_STRIDE
from .streamed_vae import can_stream, chunk_for, stream_decode, stream_encode


def check_vae(vae: Any) -> None:
    """Refuse a VAE that is not Wan 2.1's.

    Raises:
        InputError: says what its latents look like.
    """
    channels, stride = vae.latent_channels, vae.spacial_compression_decode()
    if channels != LATENT_CHANNELS or vae.latent_dim != 3 or stride != SPACE_STRIDE:
        kind = "a video" if vae.latent_dim == 3 else "an image"
        raise InputError(
            f"vae: this is {kind} VAE with {channels} latent channels and a stride of {stride} pixels. "
            f"EverTalk "
            f"needs Wan 2.1's video VAE ({LATENT_CHANNELS} channels, stride {SPACE_STRIDE}): load "
            f"wan_2.1_vae."
        )


def encode_frames(vae: Any, frames_FHWC: torch.Tensor) -> torch.Tensor:
    """Raw latents (1, 16, T, H / 8, W / 8) of frames 0..1."""
    frames_FHWC = frames_FHWC[..., :3]
    if not can_stream(vae):
        return vae.encode(frames_FHWC)
    return stream_encode(vae, frames_FHWC, chunk_for(vae.device))


def decode_frames(vae: Any, latents_BCTHW: torch.Tensor) -> torch.Tensor:
    """Frames (F, H, W, 3), 0..1, of the raw latents of one video."""
    if not can_stream(vae):
        return vae.decode(latents_BCTHW)[0]
    return stream_decode(vae, latents_BCTHW, chunk_for(vae.device))
