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

from ....wanvideo.compiling import compiled as compiled_function
from ....wanvideo.compiling import many_graphs
from ....wanvideo.geometry import SPACE_STRIDE, latent_frames, pixel_frames
from ....wanvideo.vae_layers import ConvKernel, is_side_by_side, residual
from ....wanvideo.vae_memory import ChunkSize, decode_bytes, encode_bytes
from ....wanvideo.vae_stream import (
    ComputeResidual,
    VaeStreamSettings,
    chunk_bounds,
    decode_stream,
    encode_stream,
)
from ....wanvideo.vae_tree import is_streamable


def can_stream(vae: Any) -> bool:
    """Whether the pack knows this VAE's layers; any other goes the host's own way."""
    tree = getattr(vae, "first_stage_model", None)
    return type(tree) is WanVAE and is_streamable(tree)


def kernel_of_host(convolution: Any, x: torch.Tensor) -> ConvKernel:
    """Weights of a convolution of the host, fetched and patched where its memory management demands it."""
    if not (convolution.comfy_cast_weights or convolution.weight_function or convolution.bias_function):
        return ConvKernel(convolution.weight, convolution.bias, convolution.stride)
    fetched: Any = comfy.ops.cast_bias_weight(convolution, x, offloadable=True)
    weight, bias, loan = fetched
    # A residual block has three kernels at hand at once. The host lends one at a time: it keeps what it lent
    # in GPU memory until it is given back, and then may write others over it. A kernel's copy is small.
    kernel = ConvKernel(
        own(weight, convolution.weight),
        None if bias is None else own(bias, convolution.bias),
        convolution.stride,
    )
    comfy.ops.uncast_bias_weight(convolution, weight, bias, loan)
    return kernel


def own(fetched: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
    """A tensor that the host cannot take away: what the module holds on the device itself, or a copy."""
    is_held = fetched.device == held.device and fetched.data_ptr() == held.data_ptr()
    return fetched if is_held else fetched.clone()


def chunk_size(vae: Any, height_px: int, width_px: int, latents: int) -> ChunkSize:
    """What the memory of a chunk of so many latent frames depends on."""
    width = vae.first_stage_model.dim
    side_by_side = is_side_by_side(torch.device(vae.device), width)
    return ChunkSize(width, height_px, width_px, latents, vae.vae_dtype.itemsize, side_by_side)


@cache
def compiled_residual() -> ComputeResidual:
    """The residual block, compiled; the first chunk of each size takes seconds for it."""
    return compiled_function(residual)


class AsyncCopy:
    """Brings frames from the GPU to where they are wanted while it computes the next ones.

    A copy to RAM keeps the caller until it is there. Each part is therefore copied when the next one has been
    asked of the GPU, and on a stream of its own.

    Args:
        frames_FHWC: where they go, one part after the other.
        device: where they come from.
    """

    def __init__(self, frames_FHWC: torch.Tensor, device: torch.device) -> None:
        self._frames_FHWC = frames_FHWC
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._waiting: tuple[torch.Tensor, Any] | None = None
        self._done = 0

    def add(self, part_FHWC: torch.Tensor) -> None:
        """Copy the part before this one, then let this one wait."""
        if self._stream is None:
            self._put(part_FHWC)
            return
        self.finish()
        self._waiting = part_FHWC, torch.cuda.current_stream(part_FHWC.device).record_event()

    def finish(self) -> None:
        """Copy the part that waits."""
        if self._stream is None or self._waiting is None:
            return
        (part_FHWC, is_made), self._waiting = self._waiting, None
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(is_made)
            self._put(part_FHWC)
            self._stream.synchronize()  # a copy to another place on a GPU keeps nobody

    def _put(self, part_FHWC: torch.Tensor) -> None:
        self._frames_FHWC[self._done : self._done + len(part_FHWC)] = part_FHWC
        self._done += len(part_FHWC)


def stream_decode(
    vae: Any, latents_BCTHW: torch.Tensor, latents_per_chunk: int, *, compiled: bool = False
) -> torch.Tensor:
    """Frames (F, H, W, 3), 0..1, of the raw latents of one video."""
    count, rows, columns = latents_BCTHW.shape[2:]
    height_px, width_px = rows * SPACE_STRIDE, columns * SPACE_STRIDE
    chunk = min(latents_per_chunk, max(count - 1, 1))
    load(vae, decode_bytes(chunk_size(vae, height_px, width_px, chunk)))
    compute = compiled_residual() if compiled else residual
    settings = VaeStreamSettings(latents_per_chunk, kernel_of_host, compute)
    latents = latents_BCTHW[:1].to(vae.vae_dtype).to(vae.device)
    frames_FHWC = torch.empty((pixel_frames(count), height_px, width_px, 3), device=vae.output_device)
    landing = AsyncCopy(frames_FHWC, latents.device)
    with many_graphs() if compiled else nullcontext():
        for part in decode_stream(vae.first_stage_model, latents, settings):
            comfy.model_management.throw_exception_if_processing_interrupted()
            landing.add(vae.process_output(part.float())[0].movedim(0, -1))
    landing.finish()
    return frames_FHWC


def stream_encode(vae: Any, frames_FHWC: torch.Tensor, latents_per_chunk: int) -> torch.Tensor:
    """Raw latents (1, 16, T, H / 8, W / 8) of frames 0..1; what is left over of four frames is dropped."""
    frames_FHWC = vae.vae_encode_crop_pixels(frames_FHWC)
    count, (height_px, width_px) = latent_frames(len(frames_FHWC)), frames_FHWC.shape[1:3]
    chunk = min(latents_per_chunk, max(count - 1, 1))
    load(vae, encode_bytes(chunk_size(vae, height_px, width_px, chunk)))

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
