"""Times the VAE at real size, the host's way and the pack's in chunks, a row of JSON each.

    python bench/vae.py                             832x480, 81 frames, bf16 on the first CUDA device
    python bench/vae.py --size 1280x720
    python bench/vae.py --device cpu --tiny

Each entry has the first and the best time and, on a GPU, the peak of memory above the weights beside the
estimate that the pack asks the host for. Random weights; needs a ComfyUI in COMFYUI_DIR.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import add_size, emit, emit_setting, parser_of, size_of
from timing import Clock

CHUNKS = (1, 2, 4, 8, 20)
COMPILED_CHUNKS = (1, 2, 4)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    add_size(parser)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--chunks", type=int, nargs="+", default=CHUNKS, help="latent frames at once")
    return parser.parse_args()


def measured(clock: Clock, call: Callable[[], Any], estimate_bytes: int | None) -> dict[str, Any]:
    """Times, peak and estimate of a call; or that it ran out of memory."""
    if clock.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        found = clock.time(call)
    except torch.OutOfMemoryError:
        return {"failed": "out of memory"}
    return found if estimate_bytes is None else found | {"estimate_gb": round(estimate_bytes / 1e9, 3)}


def measure_decode(vae: Any, latents: torch.Tensor, clock: Clock, chunks: list[int]) -> None:
    """The host's decode, then each chunk, eager and (on a GPU) compiled."""
    from evertalk_pack.nodes.host.codecs.streamed_vae import chunk_size, stream_decode
    from evertalk_pack.wanvideo.vae_memory import decode_bytes

    side_px = latents.shape[3] * 8, latents.shape[4] * 8
    emit({"what": "decode", "by": "host", **measured(clock, lambda: vae.decode(latents), None)})
    host = vae.decode(latents)[0]
    for chunk in chunks:
        may_compile = clock.device.type == "cuda" and chunk in COMPILED_CHUNKS
        for compiled in (False, True) if may_compile else (False,):
            estimate = decode_bytes(chunk_size(vae, *side_px, chunk))

            def call(chunk: int = chunk, compiled: bool = compiled) -> torch.Tensor:
                return stream_decode(vae, latents, chunk, compiled=compiled)

            row = measured(clock, call, estimate)
            if "failed" not in row:
                difference = (call() - host).abs()
                row["largest_difference"] = float(difference.max())
                row["mean_difference"] = float(difference.mean())
            emit({"what": "decode", "by": f"chunk_{chunk}", "compiled": compiled, **row})


def measure_encode(vae: Any, frames_FHWC: torch.Tensor, clock: Clock, chunks: list[int]) -> None:
    """The host's encode, then each chunk."""
    from evertalk_pack.nodes.host.codecs.streamed_vae import chunk_size, stream_encode
    from evertalk_pack.wanvideo.vae_memory import encode_bytes

    height, width = frames_FHWC.shape[1:3]
    emit({"what": "encode", "by": "host", **measured(clock, lambda: vae.encode(frames_FHWC), None)})
    host = vae.encode(frames_FHWC)
    for chunk in chunks:
        estimate = encode_bytes(chunk_size(vae, height, width, chunk))
        row = measured(clock, lambda chunk=chunk: stream_encode(vae, frames_FHWC, chunk), estimate)
        if "failed" not in row:
            difference = (stream_encode(vae, frames_FHWC, chunk) - host).abs().max()
            row["largest_difference"] = float(difference)
        emit({"what": "encode", "by": f"chunk_{chunk}", **row})


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    device = arguments.device
    pack_alias.prepare(use_cpu=device.type == "cpu")
    import real_size

    emit_setting("vae", arguments, device)
    width, height, frames = size_of(arguments)
    clock = Clock(device, arguments.runs)
    with torch.inference_mode():
        vae = real_size.wan_vae(real_size.sizes_of(arguments), device)
        emit({"what": "dtype", "is": str(vae.vae_dtype)})
        frames_FHWC = torch.rand(frames, height, width, 3)
        latents = vae.encode(frames_FHWC)  # brings the weights to the device
        measure_decode(vae, latents, clock, arguments.chunks)
        measure_encode(vae, frames_FHWC, clock, arguments.chunks)


if __name__ == "__main__":
    main()
