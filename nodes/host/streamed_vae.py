"""The host's Wan 2.1 VAE, run by the pack's stream through the host's memory management.

Shape letters: F video frames, H and W pixels or latent rows and columns, C channels, B batch, T latent
frames.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from typing import Any

import comfy.model_management
import comfy.ops
import torch
from comfy.ldm.wan.vae import WanVAE

from ...wanvideo.geometry import SPACE_STRIDE, latent_frames, pixel_frames
from ...wanvideo.vae_layers import Kernel, residual
from ...wanvideo.vae_memory import decode_bytes, encode_bytes
from ...wanvideo.vae_stream import (
    ComputeResidual,
    VaeStreamSettings,
    chunk_bounds,
    decode_stream,
    encode_stream,
)
from ...wanvideo.vae_tree import is_streamable
from .compiling import many_graphs


def can_stream(vae: Any) -> bool:
    """Whether the pack knows this VAE's layers; any other goes the host's own way."""
    tree = getattr(vae, "first_stage_model", None)
    return type(tree) is WanVAE and is_streamable(tree)


def kernel_of_host(convolution: Any, x: torch.Tensor) -> Kernel:
    """Weights of a convolution of the host, fetched and patched where its memory management demands it."""
    if convolution.comfy_cast_weights or convolution.weight_function or convolution.bias_function:
        fetched = comfy.ops.cast_bias_weight(convolution, x)
        return Kernel(fetched[0], fetched[1], convolution.stride)
    return Kernel(convolution.weight, convolution.bias, convolution.stride)


@cache
def compiled_residual() -> ComputeResidual:
    """The residual block, compiled; the first chunk of each size takes seconds for it."""
    return torch.compile(residual, dynamic=False)


def stream_decode(
    vae: Any, latents_BCTHW: torch.Tensor, latents_per_chunk: int, *, compiled: bool = False
) -> torch.Tensor:
    """Frames (F, H, W, 3), 0..1, of the raw latents of one video."""
    count, rows, columns = latents_BCTHW.shape[2:]
    height_px, width_px = rows * SPACE_STRIDE, columns * SPACE_STRIDE
    chunk = min(latents_per_chunk, max(count - 1, 1))
    picture = vae.first_stage_model.dim, height_px, width_px
    load(vae, decode_bytes(*picture, chunk, vae.vae_dtype.itemsize, compiled=compiled))
    compute = compiled_residual() if compiled else residual
    settings = VaeStreamSettings(latents_per_chunk, kernel_of_host, compute)
    latents = latents_BCTHW[:1].to(vae.vae_dtype).to(vae.device)
    frames_FHWC = torch.empty((pixel_frames(count), height_px, width_px, 3), device=vae.output_device)
    done = 0
    with many_graphs() if compiled else nullcontext():
        for part in decode_stream(vae.first_stage_model, latents, settings):
            comfy.model_management.throw_exception_if_processing_interrupted()
            ready = vae.process_output(part.float())[0].movedim(0, -1)
            frames_FHWC[done : done + len(ready)] = ready
            done += len(ready)
    return frames_FHWC


def stream_encode(vae: Any, frames_FHWC: torch.Tensor, latents_per_chunk: int) -> torch.Tensor:
    """Raw latents (1, 16, T, H / 8, W / 8) of frames 0..1; what is left over of four frames is dropped."""
    frames_FHWC = vae.vae_encode_crop_pixels(frames_FHWC)
    count, (height_px, width_px) = latent_frames(len(frames_FHWC)), frames_FHWC.shape[1:3]
    chunk = min(latents_per_chunk, max(count - 1, 1))
    load(vae, encode_bytes(vae.first_stage_model.dim, height_px, width_px, chunk, vae.vae_dtype.itemsize))

    def chunks() -> Iterator[torch.Tensor]:
        for start, stop in chunk_bounds(count, latents_per_chunk):
            comfy.model_management.throw_exception_if_processing_interrupted()
            first = start and pixel_frames(start)
            part = frames_FHWC[first : pixel_frames(stop)].movedim(-1, 0)[None]
            yield vae.process_input(part).to(vae.vae_dtype).to(vae.device)

    settings = VaeStreamSettings(latents_per_chunk, kernel_of_host)
    latents = list(encode_stream(vae.first_stage_model, chunks(), settings))
    return torch.cat(latents, dim=2).to(vae.output_device).float()


def load(vae: Any, memory_bytes: int) -> None:
    """Bring the VAE to its device, with room for what it computes."""
    comfy.model_management.load_models_gpu([vae.patcher], memory_required=memory_bytes)
