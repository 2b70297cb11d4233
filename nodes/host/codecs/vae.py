"""The host's VAE as the window loop wants it: frames to latents and back.

Shape letters: F video frames, H and W pixels or latent rows and columns, C channels, B batch, T latent
frames.
"""

import logging
from collections.abc import Callable
from typing import Any, Protocol

import comfy.model_management
import torch

from ....multitalk.common.errors import InputError
from ....wanvideo.geometry import LATENT_CHANNELS, SPACE_STRIDE
from ..compat.out_of_memory import is_out_of_memory
from ..report.progress import show_on_node
from .kept import KEPT, PICTURE, encoder_of
from .streamed_vae import can_stream, stream_decode, stream_encode

LOG = logging.getLogger("evertalk")

GPU_CHUNKS = (2, 1)
"""Latent frames at once, in the order in which they are tried; larger ones were not quicker on an H100."""

CPU_CHUNKS = (1,)
"""On a CPU the smallest are the quickest: their tensors stay in its caches."""

MORE_FREE_BYTES = 2 * 2**30
"""What other models give up on the GPU when the VAE had too little."""

VIDEO_AXES = 5
"""Batch, channels, latent frames, rows and columns."""

TILE_PX, TILE_OVERLAP_PX = 256, 64
"""The host's own tiles where a VAE runs out of memory."""


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
            f"EverTalk needs Wan 2.1's video VAE ({LATENT_CHANNELS} channels, stride {SPACE_STRIDE}): load "
            "wan_2.1_vae."
        )


class CodecRanks(Protocol):
    """Several processes that code a video together, so many latent frames at once."""

    @property
    def gpus(self) -> int: ...
    def decode(
        self, latents_BCTHW: torch.Tensor, latents_per_chunk: int, *, compiled: bool
    ) -> torch.Tensor: ...
    def encode(self, frames_FHWC: torch.Tensor, latents_per_chunk: int) -> torch.Tensor: ...


class Codec:
    """A VAE for one run: it remembers how many latent frames fit into memory at once.

    Args:
        vae: the host's VAE.
        compile_decoder: run the decoder's residual blocks as compiled graphs (never on a CPU).
        ranks: the processes that code with it, of a VAE that can stream; None: this one alone does.
    """

    def __init__(self, vae: Any, *, compile_decoder: bool = False, ranks: CodecRanks | None = None) -> None:
        self._vae = vae
        self._ranks = ranks
        on_cpu = torch.device(vae.device).type == "cpu"
        self._chunks = CPU_CHUNKS if on_cpu else GPU_CHUNKS
        self._compiled = compile_decoder and not on_cpu
        self._may_make_room = not on_cpu

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        """Raw latents (1, 16, T, H / 8, W / 8) of frames 0..1."""
        pixels = frames_FHWC[..., :3]
        if not can_stream(self._vae):
            return self._vae.encode(pixels)
        return self._with_less(
            "encode",
            lambda chunk: self._encode(pixels, chunk),
            lambda: self._vae.encode_tiled(pixels, tile_x=TILE_PX, tile_y=TILE_PX, overlap=TILE_OVERLAP_PX),
        )

    def recall_picture(self, content: object, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The raw latents of a picture: kept from before, or what `make` encodes."""
        if not can_stream(self._vae):
            return make()
        vae, chunks = self._vae, self._chunks
        gpus = 1 if self._ranks is None else self._ranks.gpus  # each rounds its rows in its own way
        settings = (
            str(vae.vae_dtype),
            str(vae.device),
            str(vae.output_device),
            vae.crop_input,
            chunks[:1],
            gpus,
        )
        # Memory that ran out has the rest encoded in smaller pieces, which may round otherwise.
        return KEPT.recall(
            encoder_of(vae.patcher, *settings), content, make, PICTURE, only_if=lambda: self._chunks == chunks
        )

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        """Frames (F, H, W, 3), 0..1, of the raw latents of one video."""
        if not can_stream(self._vae):
            return self._vae.decode(latents_BCTHW)[0]
        tile, overlap = TILE_PX // SPACE_STRIDE, TILE_OVERLAP_PX // SPACE_STRIDE
        return self._with_less(
            "decode",
            lambda chunk: self._decode(latents_BCTHW, chunk),
            lambda: self._vae.decode_tiled(latents_BCTHW, tile_x=tile, tile_y=tile, overlap=overlap)[0],
        )

    def _encode(self, pixels_FHWC: torch.Tensor, chunk: int) -> torch.Tensor:
        if self._ranks is not None:
            return self._ranks.encode(pixels_FHWC, chunk)
        return stream_encode(self._vae, pixels_FHWC, chunk)

    def _decode(self, latents_BCTHW: torch.Tensor, chunk: int) -> torch.Tensor:
        if self._ranks is not None:
            return self._ranks.decode(latents_BCTHW, chunk, compiled=self._compiled)
        return stream_decode(self._vae, latents_BCTHW, chunk, compiled=self._compiled)

    def _with_less(
        self, what: str, compute: Callable[[int], torch.Tensor], in_tiles: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        """Compute with the largest chunk that fits, which later calls begin with; else in tiles."""
        while self._chunks:
            try:
                return compute(self._chunks[0])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # Out of the except clause, whose exception keeps the tensors of the failed call alive.
            if self._may_make_room:
                self._may_make_room = False
                self._make_room(what)
                continue
            failed, *smaller = self._chunks
            self._chunks = tuple(smaller)
            tried = "one latent frame" if failed == 1 else f"{failed} latent frames at once"
            then = f"{smaller[0]} at once" if smaller else "tiles, whose joins may show"
            show_on_node(f"VAE {what}: the memory does not suffice for {tried}; going on with {then}")
            comfy.model_management.soft_empty_cache()
        return in_tiles()

    def _make_room(self, what: str) -> None:
        """Have the host take more of other models' weights off the GPU, once a run: tiles would show."""
        host = comfy.model_management
        device = torch.device(self._vae.device)
        free: Any = host.get_free_memory(device)
        host.free_memory(free + MORE_FREE_BYTES, device)
        host.soft_empty_cache()
        LOG.info("VAE %s: the memory did not suffice; begun again with more of other models in RAM", what)


def decode_all(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Frames (F, H, W, 3), 0..1, of raw latents of any kind; those of a batch follow one another."""
    if latents.ndim != VIDEO_AXES or latents.shape[1] != LATENT_CHANNELS or not can_stream(vae):
        frames = vae.decode(latents)
        return frames.reshape(-1, *frames.shape[-3:])
    codec = Codec(vae)
    videos = [codec.decode(one) for one in latents.split(1)]
    return videos[0] if len(videos) == 1 else torch.cat(videos)
