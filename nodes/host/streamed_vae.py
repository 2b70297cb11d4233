"""The host's Wan 2.1 VAE, run by the pack's stream through the host's memory management.

Shape letters: F video frames, H and W pixels or latent rows and columns, C channels, B batch, T latent
frames.
"""

from collections.abc import Iterator
from typing import Any

import comfy.model_management
import comfy.ops
import torch
from comfy.ldm.wan.vae import WanVAE

from ...wanvideo.geometry import SPACE_STRIDE, latent_frames, pixel_frames
from ...wanvideo.vae_layers import Kernel
from ...wanvideo.vae_stream import VaeStreamSettings, chunk_bounds, decode_stream, encode_stream
from ...wanvideo.vae_tree import is_streamable

CPU_LATENTS_PER_CHUNK = 1
"""On a CPU the smallest chunks are the quickest: their tensors stay in its caches."""

GPU_LATENTS_PER_CHUNK = 4
"""Larger chunks took no less time on an H100, and more memory."""


def can_stream(vae: Any) -> bool:
    """Whether the pack knows this VAE's layers; any other goes the host's own way."""
    tree = vae.first_stage_model
    return type(tree) is WanVAE and is_streamable(tree)


def chunk_for(device: torch.device) -> int:
    """Latent frames of a chunk that suit a device."""
    return CPU_LATENTS_PER_CHUNK if device.type == "cpu" else GPU_LATENTS_PER_CHUNK


def kernel_of_host(convolution: Any, x: torch.Tensor) -> Kernel:
    """Weights of a convolution of the host, fetched and patched where its memory management demands it."""
    if convolution.comfy_cast_weights or convolution.weight_function or convolution.bias_function:
        fetched = comfy.ops.cast_bias_weight(convolution, x)
        return Kernel(fetched[0], fetched[1], convolution.stride)
    return Kernel(convolution.weight, convolution.bias, convolution.stride)


def stream_decode(vae: Any, latents_BCTHW: torch.Tensor, latents_per_chunk: int) -> torch.Tensor:
    """Frames (F, H, W, 3), 0..1, of the raw latents of one video."""
    load(vae, vae.memory_used_decode(latents_BCTHW.shape, vae.vae_dtype))
    settings = VaeStreamSettings(latents_per_chunk, kernel_of_host)
    latents = latents_BCTHW[:1].to(vae.vae_dtype).to(vae.device)
    count, rows, columns = latents.shape[2:]
    size = (pixel_frames(count), rows * SPACE_STRIDE, columns * SPACE_STRIDE, 3)
    frames_FHWC = torch.empty(size, device=vae.output_device)
    done = 0
    for chunk in decode_stream(vae.first_stage_model, latents, settings):
        comfy.model_management.throw_exception_if_processing_interrupted()
        ready = vae.process_output(chunk.float())[0].movedim(0, -1)
        frames_FHWC[done : done + len(ready)] = ready
        done += len(ready)
    return frames_FHWC


def stream_encode(vae: Any, frames_FHWC: torch.Tensor, latents_per_chunk: int) -> torch.Tensor:
    """Raw latents (1, 16, T, H / 8, W / 8) of frames 0..1; what is left over of four frames is dropped."""
    frames_FHWC = vae.vae_encode_crop_pixels(frames_FHWC)
    load(vae, vae.memory_used_encode((1, 3, *frames_FHWC.shape[:3]), vae.vae_dtype))

    def chunks() -> Iterator[torch.Tensor]:
        for start, stop in chunk_bounds(latent_frames(len(frames_FHWC)), latents_per_chunk):
            comfy.model_management.throw_exception_if_processing_interrupted()
            first = start and pixel_frames(start)
            part = frames_FHWC[first : pixel_frames(stop)].movedim(-1, 0)[None]
            yield vae.process_input(part).to(vae.vae_dtype).to(vae.device)

    settings = VaeStreamSettings(latents_per_chunk, kernel_of_host)
    latents = list(encode_stream(vae.first_stage_model, chunks(), settings))
    return torch.cat(latents, dim=2).to(vae.output_device).float()


def load(vae: Any, memory_bytes: float) -> None:
    """Bring the VAE to its device, with room for what it computes."""
    comfy.model_management.load_models_gpu([vae.patcher], memory_required=int(memory_bytes))
