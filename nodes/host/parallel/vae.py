"""The VAE on all ranks: each computes some rows of every frame (wanvideo/vae_rows.py says how).

The workers get the weights from the server once, since the host's VAE does not tell which file it came from.
Always all ranks or always one, whatever was made before: the same number of GPUs gives the same bytes.

Shape letters: F video frames, H and W pixels or latent rows and columns, C channels, B batch, T latent
frames.
"""

import weakref
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.sd
import torch

from ....attention.plain_text import name_of_dtype
from ....wanvideo.geometry import SPACE_STRIDE, latent_frames
from ....wanvideo.ranks import Ranks
from ....wanvideo.vae_rows import RowSplit
from ....wanvideo.vae_stream import even_chunk
from ..codecs.streamed_vae import (
    can_stream,
    decoded_parts,
    encoded_rows,
    frame_bounds,
    load,
    stream_decode,
    stream_encode,
)
from .machine import Machine
from .team import Team


def why_alone(vae: Any, machine: Machine) -> str:
    """Why one GPU alone codes with a VAE; empty where all of them can."""
    if not can_stream(vae):
        return "EverTalk knows the layers of Wan 2.1's own VAE alone"
    device = torch.device(vae.device).type
    if (device == "cpu") != (machine.backend == "gloo"):
        return f"ComfyUI runs it on {device}"
    if vae.patcher.patches or vae.patcher.object_patches:
        return "a node changes its weights"
    return ""


class SharedVae:
    """A VAE that all ranks of a team code with; codecs.vae.CodecRanks.

    Args:
        vae: the host's, which why_alone has nothing against.
        team: gives the team, which begins to load when it is first asked for.
        gpus: how many are in it.
    """

    def __init__(self, vae: Any, team: Callable[[], Team], gpus: int) -> None:
        self._vae = vae
        self._team = team
        self.gpus = gpus

    def decode(self, latents_BCTHW: torch.Tensor, latents_per_chunk: int, *, compiled: bool) -> torch.Tensor:
        """As stream_decode.

        Raises:
            WorkerError: a worker failed, hung or is gone.
        """
        latents = latents_BCTHW[:1].to(self._vae.vae_dtype).to(self._vae.device)
        shared = shared_chunk(latents.shape[2], latents_per_chunk, self.gpus)
        asked = {"do": "decode", "chunk": shared, "compiled": compiled}

        def run(split: RowSplit | None) -> torch.Tensor:
            chunk = latents_per_chunk if split is None else shared
            return stream_decode(self._vae, latents, chunk, compiled=compiled, split=split)

        return self._on_all(latents.shape[-2], asked, {"latents": latents}, run)

    def encode(self, frames_FHWC: torch.Tensor, latents_per_chunk: int) -> torch.Tensor:
        """As stream_encode.

        Raises:
            WorkerError: a worker failed, hung or is gone.
        """
        frames = self._vae.vae_encode_crop_pixels(frames_FHWC)
        size = (latent_frames(len(frames)), *frames.shape[1:])
        shared = shared_chunk(size[0], latents_per_chunk, self.gpus)
        asked = {"do": "encode", "chunk": shared, "size": size}

        def run(split: RowSplit | None) -> torch.Tensor:
            return stream_encode(self._vae, frames, latents_per_chunk if split is None else shared, split)

        return self._on_all(frames.shape[1] // SPACE_STRIDE, asked, {}, run)

    def _on_all(
        self,
        latent_rows: int,
        asked: dict[str, Any],
        tensors: dict[str, torch.Tensor],
        run: Callable[[RowSplit | None], torch.Tensor],
    ) -> torch.Tensor:
        """What all ranks make of what is asked; this one alone, of a video with fewer rows than ranks."""
        team = self._team()
        if latent_rows < team.plan.size:
            return run(None)
        with team.in_step(keeps_interrupted=True):
            ranks = team.joined()
        with team.in_step():
            self._give_weights(team)
            team.give(asked, tensors)
            made = run(RowSplit(ranks, latent_rows))
            team.finish_part()
        comfy.model_management.throw_exception_if_processing_interrupted()
        return made

    def _give_weights(self, team: Team) -> None:
        """The workers get what they do not have yet."""
        tree = self._vae.first_stage_model
        if team.vae is not None and team.vae() is tree:
            return
        load(self._vae, sum(one.nbytes for one in tree.parameters()))  # what of them does not fit is copied
        on_device = {name: one.to(self._vae.device) for name, one in tree.state_dict().items()}
        team.give({"do": "vae", "dtype": name_of_dtype(self._vae.vae_dtype)}, on_device)
        team.vae = weakref.ref(tree)


def shared_chunk(latents: int, of_one: int, gpus: int) -> int:
    """Latent frames at once on all ranks, where one alone takes `of_one`.

    Each has a part of the rows, so that a chunk may be longer by as much, and exchanges are fewer.
    """
    return even_chunk(latents, of_one * gpus)


def vae_of(weights: dict[str, torch.Tensor], dtype: str) -> Any:
    """The host's VAE of what the server gave, in a worker; `dtype` is torch's name of what it computes in."""
    return comfy.sd.VAE(sd=weights, dtype=getattr(torch, dtype))


def decode_rows(vae: Any, ranks: Ranks, latents_BCTHW: torch.Tensor, message: dict[str, Any]) -> None:
    """A worker's rows of a decode, which the server gets."""
    split = RowSplit(ranks, latents_BCTHW.shape[-2])
    for part in decoded_parts(
        vae, latents_BCTHW, message["chunk"], compiled=message["compiled"], split=split
    ):
        del part


def encode_rows(vae: Any, ranks: Ranks, message: dict[str, Any]) -> None:
    """A worker's rows of an encode: the server gives it their frames and gets their latents."""
    count, height_px, width_px, channels = message["size"]
    none_BCTHW = torch.empty(1, channels, 1, 0, width_px, dtype=vae.vae_dtype, device=vae.device)
    bounds = frame_bounds(count, message["chunk"])
    chunks = (none_BCTHW.expand(-1, -1, end - first, -1, -1) for first, end in bounds)
    split = RowSplit(ranks, height_px // SPACE_STRIDE)
    encoded_rows(vae, chunks, (count, height_px, width_px), message["chunk"], split)
