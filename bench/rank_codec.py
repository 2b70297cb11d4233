"""The VAE in bench/parallel.py: a window's decode and its motion frames' encode, by one rank or several."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rows import emit, size_of
from timing import Clock


@dataclass(frozen=True)
class RankCodec:
    """What is decoded and encoded, the same in each process.

    Attributes:
        vae: the host's, of random weights.
        latents_BCTHW: of a window.
        motion_FHWC: motion frames.
        message: what a worker is told: latent frames that one process takes at once, whether the decoder is
            compiled, the motion frames' size.
    """

    vae: Any
    latents_BCTHW: torch.Tensor
    motion_FHWC: torch.Tensor
    message: dict[str, Any]

    def rows(self) -> int:
        """Latent rows, of which each rank must have one."""
        return self.latents_BCTHW.shape[-2]

    def told(self, latents: int, ranks: Any, **changes: Any) -> dict[str, Any]:
        """What a worker is told for a video of so many latent frames, on so many ranks (None: one)."""
        from evertalk_pack.nodes.host.parallel.vae import shared_chunk

        size = 1 if ranks is None else ranks.size
        chunk = self.message["chunk"]
        chunk = shared_chunk(latents, chunk, size) if size > 1 else chunk
        return {**self.message, "chunk": chunk, **changes}

    def decode(self, ranks: Any = None, *, compiled: bool = True) -> torch.Tensor:
        """The frames of a window; on ranks but the first none. Compiled where that is asked for."""
        from evertalk_pack.nodes.host.codecs.streamed_vae import stream_decode
        from evertalk_pack.nodes.host.parallel.vae import decode_rows
        from evertalk_pack.wanvideo.vae_rows import RowSplit

        latents, compiled = self.latents_BCTHW, compiled and self.message["compiled"]
        told = self.told(latents.shape[2], ranks, compiled=compiled)
        if ranks is not None and ranks.rank:
            decode_rows(self.vae, ranks, latents, told)
            return latents[..., :0, :]
        split = None if ranks is None else RowSplit(ranks, self.rows())
        return stream_decode(self.vae, latents, told["chunk"], compiled=compiled, split=split)

    def encode(self, ranks: Any = None) -> torch.Tensor:
        """The latents of motion frames; on ranks but the first none."""
        from evertalk_pack.nodes.host.codecs.streamed_vae import stream_encode
        from evertalk_pack.nodes.host.parallel.vae import encode_rows
        from evertalk_pack.wanvideo.vae_rows import RowSplit

        told = self.told(self.message["size"][0], ranks)
        if ranks is not None and ranks.rank:
            encode_rows(self.vae, ranks, told)
            return self.latents_BCTHW[..., :0, :]
        split = None if ranks is None else RowSplit(ranks, self.rows())
        return stream_encode(self.vae, self.motion_FHWC, told["chunk"], split)


def codec_of(arguments: argparse.Namespace) -> RankCodec:
    """The VAE at its size, and a window's latents and motion frames, drawn from one seed."""
    import real_size
    from evertalk_pack.multitalk.common.types import MOTION_FRAMES
    from evertalk_pack.nodes.host.codecs.vae import CPU_CHUNKS, GPU_CHUNKS
    from evertalk_pack.wanvideo.geometry import SPACE_STRIDE, latent_frames

    device = arguments.device
    width, height, frames = size_of(arguments)
    torch.manual_seed(1)
    vae = real_size.wan_vae(real_size.sizes_of(arguments), device)
    shape = (1, 16, latent_frames(frames), height // SPACE_STRIDE, width // SPACE_STRIDE)
    latents_BCTHW = torch.randn(shape).to(vae.vae_dtype).to(device)
    is_cpu = device.type == "cpu"
    message = {
        "chunk": (CPU_CHUNKS if is_cpu else GPU_CHUNKS)[0],
        "compiled": arguments.compile and not is_cpu,
        "size": (latent_frames(MOTION_FRAMES), height, width, 3),
    }
    return RankCodec(vae, latents_BCTHW, torch.rand(MOTION_FRAMES, height, width, 3), message)


def parts_of(codec: RankCodec, *, compiled: bool = True) -> dict[str, Callable[[Any], torch.Tensor]]:
    """What a window takes of a VAE, by the names of their rows.

    Ranks that count or time their exchanges, or are threads, do so uncompiled: a compiler does not follow.
    """
    return {"decode": partial(codec.decode, compiled=compiled), "encode_motion": codec.encode}


def measure_codec_alone(codec: RankCodec, clock: Clock) -> dict[str, float]:
    """Both on one device; seconds."""
    seconds: dict[str, float] = {}
    for what, code in parts_of(codec).items():
        row = clock.time(partial(code, None))
        emit({"what": what, "ranks": 1, **row})
        seconds[what] = row["best_s"]
    return seconds


def project_codec(codec: RankCodec, clock: Clock, size: int) -> tuple[float, int]:
    """The first of so many ranks alone, which has the most rows; seconds and bytes of both together.

    The bytes are those of the rank that gives or gets the most: the first, which gets all frames, or the
    second, which has two neighbours where there are more than two ranks.
    """
    from rank_clocks import CopyingRanks, Spent

    group: Any = None
    seconds, moved_bytes, counted = 0.0, 0, parts_of(codec, compiled=False)
    for what, code in parts_of(codec).items():
        spent = [Spent(), Spent()]
        for rank, one in enumerate(spent):
            counted[what](CopyingRanks(rank, size, group, one))
        most = max(spent, key=lambda one: one.sent_bytes)
        row = clock.time(partial(code, CopyingRanks(0, size, group)))
        emit(
            {
                "what": "projection",
                "of": what,
                "ranks": size,
                **row,
                "calls": most.calls,
                "sent_bytes": most.sent_bytes,
            }
        )
        seconds, moved_bytes = seconds + row["best_s"], moved_bytes + most.sent_bytes
    return seconds, moved_bytes


def split_codec(codec: RankCodec, size: int) -> None:
    """Whether so many ranks, threads of this process, code as one does."""
    from rank_clocks import on_threads, relative_difference

    for what, code in parts_of(codec, compiled=False).items():
        with torch.inference_mode():
            whole = code(None)
        difference = relative_difference(on_threads(size, None, code), whole)
        emit({"what": "split", "of": what, "ranks": size, "relative_difference": difference})


def measure_codec_ranks(codec: RankCodec, ranks: Any, clock: Clock, alone: dict[str, float]) -> float:
    """Both by all processes of the group; the slowest one's seconds. The first one prints."""
    import torch.distributed as dist
    from rank_clocks import Spent, TimedRanks, relative_difference

    seconds, apart = 0.0, parts_of(codec, compiled=False)
    for what, code in parts_of(codec).items():
        row = clock.time(partial(code, ranks))
        difference = relative_difference(code(ranks), code(None)) if ranks.rank == 0 else code(ranks).numel()
        apart[what](ranks)  # a first call, which is not counted
        timed = TimedRanks(ranks.rank, ranks.size, ranks.group, Spent())
        apart[what](timed)
        spent, rows = timed.spent, [None] * ranks.size
        mine: Any = {**row, "waiting_s": round(spent.waiting_s, 4), "exchange_s": round(spent.exchange_s, 4)}
        dist.all_gather_object(rows, mine)
        found: Any = rows
        slowest_s = max(one["best_s"] for one in found)
        seconds += slowest_s
        if ranks.rank == 0:
            names = ("peak_gb", "waiting_s", "exchange_s")
            each = {name: [one.get(name) for one in found] for name in names}
            efficiency = round(alone[what] / (ranks.size * slowest_s), 3)
            emit(
                {
                    "what": what,
                    "ranks": ranks.size,
                    "best_s": slowest_s,
                    "efficiency": efficiency,
                    **each,
                    "calls": spent.calls,
                    "relative_difference": difference,
                }
            )
    return seconds
