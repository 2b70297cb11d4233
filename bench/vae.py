"""Times the VAE at real size, the host's way and the pack's in chunks, as JSON.

    python bench/vae.py                             832x480, 81 frames, bf16 on the first CUDA device
    python bench/vae.py --size 1280x720
    python bench/vae.py --device cpu --tiny --size 128x128 --frames 33

Each entry has the first and the best time and, on a GPU, the peak of memory above the weights beside the
estimate that the pack asks the host for. Random weights; needs a ComfyUI in COMFYUI_DIR.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from gpu import Clock

CHUNKS = (1, 2, 4, 8, 20)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="832x480", help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="a VAE as narrow as the demo's")
    return parser.parse_args()


class Meter:
    """Runs calls and notes their time and their memory above what lay there before."""

    def __init__(self, device: torch.device, runs: int) -> None:
        self.device = device
        self.clock = Clock(device, runs)

    def measure(self, call: Callable[[], Any], estimate_bytes: int | None) -> dict[str, float | str]:
        """Times, peak and estimate of a call; or that it ran out of memory."""
        is_cuda = self.device.type == "cuda"
        if is_cuda:
            torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(self.device) if is_cuda else 0
        try:
            found: dict[str, float | str] = dict(self.clock.time(call))
        except torch.OutOfMemoryError:
            return {"failed": "out of memory"}
        if is_cuda:
            peak = torch.cuda.max_memory_allocated(self.device) - before
            found["activations_gb"] = round(peak / 1e9, 3)
        if estimate_bytes is not None:
            found["estimate_gb"] = round(estimate_bytes / 1e9, 3)
        return found


def measure_decode(vae: Any, latents: torch.Tensor, meter: Meter) -> dict[str, Any]:
    """The host's decode, then each chunk, eager and (on a GPU) compiled."""
    from evertalk_pack.nodes.host.streamed_vae import stream_decode
    from evertalk_pack.wanvideo.vae_memory import decode_bytes

    height, width = latents.shape[3] * 8, latents.shape[4] * 8
    found: dict[str, Any] = {"host": meter.measure(lambda: vae.decode(latents), None)}
    host = vae.decode(latents)[0]
    for chunk in CHUNKS:
        estimate = decode_bytes(vae.first_stage_model.dim, height, width, chunk, vae.vae_dtype.itemsize)
        for compiled in (False, True) if meter.device.type == "cuda" and chunk <= 4 else (False,):

            def call(chunk: int = chunk, compiled: bool = compiled) -> torch.Tensor:
                return stream_decode(vae, latents, chunk, compiled=compiled)

            entry = meter.measure(call, estimate)
            if "failed" not in entry:
                entry["largest_difference"] = float((call() - host).abs().max())
                entry["mean_difference"] = float((call() - host).abs().mean())
            found[f"chunk_{chunk}{'_compiled' if compiled else ''}"] = entry
    return found


def measure_encode(vae: Any, frames_FHWC: torch.Tensor, meter: Meter) -> dict[str, Any]:
    """The host's encode, then each chunk."""
    from evertalk_pack.nodes.host.streamed_vae import stream_encode
    from evertalk_pack.wanvideo.vae_memory import encode_bytes

    height, width = frames_FHWC.shape[1:3]
    found: dict[str, Any] = {"host": meter.measure(lambda: vae.encode(frames_FHWC), None)}
    host = vae.encode(frames_FHWC)
    for chunk in CHUNKS:
        estimate = encode_bytes(vae.first_stage_model.dim, height, width, chunk, vae.vae_dtype.itemsize)
        entry = meter.measure(lambda chunk=chunk: stream_encode(vae, frames_FHWC, chunk), estimate)
        if "failed" not in entry:
            difference = (stream_encode(vae, frames_FHWC, chunk) - host).abs().max()
            entry["largest_difference"] = float(difference)
        found[f"chunk_{chunk}"] = entry
    return found


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    device = torch.device(arguments.device)
    pack_alias.prepare(use_cpu=device.type == "cpu")
    import real_size

    width, height = (int(side) for side in arguments.size.split("x"))
    report: dict[str, Any] = {"arguments": vars(arguments), "torch": torch.__version__}
    if device.type == "cuda":
        report["gpu"] = torch.cuda.get_device_name(device)
    meter = Meter(device, arguments.runs)
    with torch.inference_mode():
        vae = real_size.wan_vae(real_size.TINY if arguments.tiny else real_size.REAL, device)
        report["dtype"] = str(vae.vae_dtype)
        frames_FHWC = torch.rand(arguments.frames, height, width, 3)
        latents = vae.encode(frames_FHWC)  # brings the weights to the device
        report["decode"] = measure_decode(vae, latents, meter)
        print(json.dumps(report), flush=True)
        report["encode"] = measure_encode(vae, frames_FHWC, meter)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
