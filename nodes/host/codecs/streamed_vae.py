"""The host's Wan 2.1 VAE, run by the pack's stream through the host's memory management.

Shape letters: F video frames, H and W pixels or latent rows and columns, C channels, B batch, T latent
frames.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from typing import Any, Self

import comfy.model_management
import comfy.ops
import torch
from comfy.ldm.wan.vae import WanVAE

from ....wanvideo.compiling import compiled as compiled_function
from ....wanvideo.compiling import many_graphs
from ....wanvideo.geometry import SPACE_STRIDE, latent_frames, pixel_frames
from ....wanvideo.vae_layers import ConvKernel, is_side_by_side, residual
from ....wanvideo.vae_memory import ChunkSize, decode_bytes, encode_bytes
from ....wanvideo.vae_rows import RowSplit
from ....wanvideo.vae_stream import (
    ComputeResidual,
    VaeStreamSettings,
    chunk_bounds,
    decode_stream,
    encode_stream,
)
from ....wanvideo.vae_tree import is_streamable
from ..compat.compiled_files import keep_compiled_files


def can_stream(vae: Any) -> bool:
    """Whether the pack knows this VAE's layers; any other goes the host's own way."""
    return type(getattr(vae, "first_stage_model", None)) is WanVAE and is_streamable(vae.first_stage_model)


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
    keep_compiled_files()
    return compiled_function(residual)


MAX_PINNED_BYTES = 2**28
"""Of a window's frames in RAM that the GPU writes by itself. torch keeps such memory for the next window, in
pieces of a power of two: a few of them for FlashTalk's windows (136 MB); larger windows are not worth it."""


STAGED_BYTES = 2**25
"""Of the frames of larger windows on their way to RAM, at once."""


def landing_place(shape: tuple[int, ...], vae: Any) -> torch.Tensor:
    """Memory for decoded frames, float32, where the host wants them.

    Into plain memory that was never used a GPU wrote 33 frames of 448x768 in 107 ms (NVIDIA H200).
    """
    wanted, needed = torch.device(vae.output_device), 4 * math.prod(shape)
    if torch.device(vae.device).type == "cuda" and wanted.type == "cpu" and needed <= MAX_PINNED_BYTES:
        try:
            return torch.empty(shape, pin_memory=True)
        except RuntimeError:  # the system gives no more such memory
            pass
    return torch.empty(shape, device=wanted)


class AsyncCopy:
    """Brings frames from the GPU to where they are wanted while it computes the next ones; a context.

    A copy to RAM keeps the thread that asks for it until it is there, so that it has a thread of its own, one
    part at a time, and a stream: the other thread goes on asking the GPU for more. Where several GPUs decode
    together, the others would wait for it in their next exchange.

    Args:
        frames_FHWC: where they go, one part after the other.
        device: where they come from.
    """

    def __init__(self, frames_FHWC: torch.Tensor, device: torch.device) -> None:
        self._frames_FHWC = frames_FHWC
        is_gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if is_gpu else None
        self._thread = ThreadPoolExecutor(1, "evertalk-frames") if is_gpu else None
        self._copying: Future[None] | None = None
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Wait for the last part; of a decode that failed, without asking what came of it."""
        if self._thread is not None:
            self._thread.shutdown()
        if error is None:
            self._wait()

    def add(self, part_FHWC: torch.Tensor) -> None:
        """Copy a part, once the one before it is where it belongs."""
        if self._thread is None:
            self._put(part_FHWC)
            return
        self._wait()
        is_made = torch.cuda.current_stream(part_FHWC.device).record_event()
        self._copying = self._thread.submit(self._copy, part_FHWC, is_made)

    def _wait(self) -> None:
        if self._copying is not None:
            self._copying.result()

    def _copy(self, part_FHWC: torch.Tensor, is_made: Any) -> None:
        """On the copies' own thread, for which torch does not know what the other one is in."""
        with torch.inference_mode(self._frames_FHWC.is_inference()), torch.cuda.stream(self._stream):
            assert self._stream is not None
            self._stream.wait_event(is_made)
            for piece_FHWC in part_FHWC.split(max(1, STAGED_BYTES // part_FHWC[0].nbytes)):
                self._put(self._staged(piece_FHWC))
            self._stream.synchronize()  # a copy to another place on a GPU keeps nobody

    def _staged(self, piece_FHWC: torch.Tensor) -> torch.Tensor:
        """The frames in RAM that the GPU writes by itself, on their way to RAM that it does not."""
        assert self._stream is not None
        if self._frames_FHWC.device.type != "cpu" or self._frames_FHWC.is_pinned():
            return piece_FHWC
        try:
            staged = torch.empty(piece_FHWC.shape, dtype=piece_FHWC.dtype, pin_memory=True)
        except RuntimeError:  # the system gives no more such memory
            return piece_FHWC
        staged.copy_(piece_FHWC, non_blocking=True)
        self._stream.synchronize()
        return staged

    def _put(self, part_FHWC: torch.Tensor) -> None:
        self._frames_FHWC[self._done : self._done + len(part_FHWC)] = part_FHWC
        self._done += len(part_FHWC)


def stream_decode(
    vae: Any,
    latents_BCTHW: torch.Tensor,
    latents_per_chunk: int,
    *,
    compiled: bool = False,
    split: RowSplit | None = None,
) -> torch.Tensor:
    """Frames (F, H, W, 3), 0..1, of the raw latents of one video.

    Args:
        vae: the host's.
        latents_BCTHW: of the whole video.
        latents_per_chunk: how many latent frames at once.
        compiled: run residual blocks as compiled graphs.
        split: the rows of this process, the first of several; see decoded_parts.
    """
    count, rows, columns = latents_BCTHW.shape[2:]
    frames_FHWC = landing_place((pixel_frames(count), rows * SPACE_STRIDE, columns * SPACE_STRIDE, 3), vae)
    parts = decoded_parts(vae, latents_BCTHW, latents_per_chunk, compiled=compiled, split=split)
    with AsyncCopy(frames_FHWC, torch.device(vae.device)) as landing:
        for part in parts:
            landing.add(vae.process_output(part.float())[0].movedim(0, -1))
    return frames_FHWC


def decoded_parts(
    vae: Any, latents_BCTHW: torch.Tensor, latents_per_chunk: int, *, compiled: bool, split: RowSplit | None
) -> Iterator[torch.Tensor]:
    """Frames (1, 3, T, H, W), as the VAE gives them, of raw latents, chunk by chunk.

    Where several processes share the rows, each must go through all parts, and the first gets the frames; the
    others get frames without rows. None stops at the user's word: the others would wait for it.
    """
    count, rows, columns = latents_BCTHW.shape[2:]
    chunk = min(latents_per_chunk, max(count - 1, 1))
    load(
        vae,
        decode_bytes(chunk_size(vae, most_rows(rows * SPACE_STRIDE, split), columns * SPACE_STRIDE, chunk)),
    )
    compute = compiled_residual() if compiled else residual
    settings = VaeStreamSettings(latents_per_chunk, kernel_of_host, compute, split)
    latents = latents_BCTHW[:1].to(vae.vae_dtype).to(vae.device)
    own = latents if split is None else split.own(latents)
    with many_graphs() if compiled else nullcontext():
        for part in decode_stream(vae.first_stage_model, own, settings):
            if split is None:
                comfy.model_management.throw_exception_if_processing_interrupted()
            yield part if split is None else split.collected(part)


def most_rows(height_px: int, split: RowSplit | None) -> int:
    """Rows of pixels that a process computes at once, of so many; a border above and below counted in."""
    return height_px if split is None else max(split.shares(height_px)) + 2


def stream_encode(
    vae: Any, frames_FHWC: torch.Tensor, latents_per_chunk: int, split: RowSplit | None = None
) -> torch.Tensor:
    """Raw latents (1, 16, T, H / 8, W / 8) of frames 0..1; what is left over of four frames is dropped.

    Args:
        vae: the host's.
        frames_FHWC: of the whole video.
        latents_per_chunk: how many latent frames at once.
        split: the rows of this process, of several; see encoded_rows.
    """
    frames_FHWC = vae.vae_encode_crop_pixels(frames_FHWC)
    count = latent_frames(len(frames_FHWC))

    def chunks() -> Iterator[torch.Tensor]:
        for first, end in frame_bounds(count, latents_per_chunk):
            if split is None:
                comfy.model_management.throw_exception_if_processing_interrupted()
            part = frames_FHWC[first:end].to(vae.device).movedim(-1, 0)[None]
            yield vae.process_input(part).to(vae.vae_dtype)

    height_px, width_px = frames_FHWC.shape[1:3]
    latents = encoded_rows(vae, chunks(), (count, height_px, width_px), latents_per_chunk, split)
    return latents.to(vae.output_device).float()


def frame_bounds(latents: int, latents_per_chunk: int) -> Iterator[tuple[int, int]]:
    """First and one past the last video frame of each chunk."""
    for start, stop in chunk_bounds(latents, latents_per_chunk):
        yield start and pixel_frames(start), pixel_frames(stop)


def encoded_rows(
    vae: Any,
    chunks_BCTHW: Iterable[torch.Tensor],
    size: tuple[int, int, int],
    latents_per_chunk: int,
    split: RowSplit | None,
) -> torch.Tensor:
    """Raw latents of frames as the VAE takes them, chunk by chunk.

    Where several processes share the rows, the first gives the frames and gets the latents; the others give
    frames without rows, and get latents without.

    Args:
        vae: the host's.
        chunks_BCTHW: of the video.
        size: latent frames, height and width in pixels of the whole video.
        latents_per_chunk: how many latent frames at once.
        split: the rows of this process; None: all.
    """
    count, height_px, width_px = size
    chunk = min(latents_per_chunk, max(count - 1, 1))
    load(vae, encode_bytes(chunk_size(vae, most_rows(height_px, split), width_px, chunk)))
    settings = VaeStreamSettings(latents_per_chunk, kernel_of_host, split=split)
    own = chunks_BCTHW if split is None else (split.dealt(one, height_px) for one in chunks_BCTHW)
    latents = torch.cat(list(encode_stream(vae.first_stage_model, own, settings)), dim=2)
    return latents if split is None else split.collected(latents)


def load(vae: Any, memory_bytes: int) -> None:
    """Bring the VAE to its device, with room for what it computes."""
    comfy.model_management.load_models_gpu([vae.patcher], memory_required=memory_bytes)
    device = torch.device(vae.device)
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < memory_bytes:
        # What the host took from other models it leaves with torch, in pieces of a weight's size, which count
        # as free: the VAE's tensors are larger.
        torch.cuda.synchronize(device)
        comfy.model_management.soft_empty_cache()
