"""Times the forward, the VAE and a whole window at real size, as JSON.

    python bench/gpu.py                              bf16 on the first CUDA device, 832x480, 81 frames
    python bench/gpu.py --weights fp8_e4m3fn_fast    fp8 weights with fp8 matrix products
    python bench/gpu.py --weights fp8_e4m3fn --vram-gb 0 24 16 12
                                                     only whole windows, on a GPU made to seem smaller
    python bench/gpu.py --device cpu --tiny          the same code on small shapes

Everything runs through the host's classes and the pack's own nodes/host code, with random weights.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias

WEIGHTS = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e4m3fn_fast": torch.float8_e4m3fn,
    "fp8_rowwise": torch.bfloat16,
}


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--weights", choices=WEIGHTS, default="bf16")
    parser.add_argument("--attention", default="auto", help="backend of the pack")
    parser.add_argument("--size", default="832x480", help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="blocks under torch.compile")
    parser.add_argument("--tiny", action="store_true", help="a small model instead of the real size")
    parser.add_argument("--skip-vae", action="store_true")
    parser.add_argument(
        "--vram-gb",
        type=float,
        nargs="+",
        default=[],
        help="time windows alone, under these limits in GiB; 0 is none",
    )
    return parser.parse_args()


class Clock:
    """Times calls and notes the peak of GPU memory."""

    def __init__(self, device: torch.device, runs: int) -> None:
        self.device, self.runs = device, runs

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def time(self, call: Callable[[], Any]) -> dict[str, float]:
        """First and best seconds of a call, its peak memory in GB, and that above what was there before."""
        is_cuda = self.device.type == "cuda"
        before = 0
        if is_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
        seconds: list[float] = []
        for _ in range(self.runs + 1):
            self.wait()
            started = time.perf_counter()
            call()
            self.wait()
            seconds.append(time.perf_counter() - started)
        found = {"first_s": round(seconds[0], 4), "best_s": round(min(seconds[1:]), 4)}
        if is_cuda:
            peak = torch.cuda.max_memory_allocated(self.device)
            found |= {"peak_gb": round(peak / 1e9, 2), "above_weights_gb": round((peak - before) / 1e9, 3)}
        return found


def forward_inputs(width: int, height: int, frames: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Random inputs of one evaluation."""
    latent = (1, 16, (frames - 1) // 4 + 1, height // 8, width // 8)
    generator = torch.Generator(device).manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=device)

    return {
        "x": noise(*latent),
        "c_concat": noise(1, 20, *latent[2:]),
        "c_crossattn": noise(1, 512, 4096),
        "clip_fea": noise(1, 257, 1280),
        "audio_SFKLC": noise(2, frames, 5, 12, 768),
    }


def measure_forward(
    model: Any, inputs: dict[str, torch.Tensor], attention: Any, clock: Clock
) -> dict[str, Any]:
    """The host's own forward, then one voice and two."""
    from evertalk_pack.multitalk.generate import WindowVoices
    from evertalk_pack.multitalk.mask_places import default_masks
    from evertalk_pack.multitalk.speaker_masks import make_speaker_masks
    from evertalk_pack.nodes.host.memory import forward_size
    from evertalk_pack.nodes.host.patcher import KEY, BranchCall, TalkCall
    from evertalk_pack.wanvideo.memory import forward_bytes

    inputs = dict(inputs)
    audio_SFKLC = inputs.pop("audio_SFKLC")
    rows, columns = inputs["x"].shape[3] * 8, inputs["x"].shape[4] * 8
    masks_MP = make_speaker_masks(default_masks(2, rows, columns), 2, rows, columns).token_MK
    sigma = torch.full((1,), 0.9, device=inputs["x"].device)

    def run(call: TalkCall | None) -> torch.Tensor:
        options = {"cond_or_uncond": [0], KEY: call}
        return model.model.apply_model(t=sigma, transformer_options=options, **inputs)

    calls = {
        "host_without_audio": None,
        "one_voice": TalkCall((BranchCall(audio_SFKLC[:1]),), attention),
        "two_voices": TalkCall((BranchCall(audio_SFKLC, masks_MP),), attention),
    }
    found = {name: clock.time(lambda call=call: run(call)) for name, call in calls.items()}
    for name, voices in (
        ("one_voice", WindowVoices(audio_SFKLC[:1])),
        ("two_voices", WindowVoices(audio_SFKLC)),
    ):
        declared = forward_bytes(forward_size(model, inputs["x"], voices, 0))
        found[name]["declared_gb"] = round(declared / 1e9, 3)
    return found


def measure_vae(vae: Any, width: int, height: int, frames: int, clock: Clock) -> dict[str, Any]:
    """Encoding of a window's picture and decoding of a window, as the loop calls them."""
    from evertalk_pack.nodes.host.codecs import decode_frames, encode_frames

    frames_FHWC = torch.rand(frames, height, width, 3)
    latents = encode_frames(vae, frames_FHWC)
    return {
        "encode": clock.time(lambda: encode_frames(vae, frames_FHWC)),
        "encode_motion": clock.time(lambda: encode_frames(vae, frames_FHWC[:9])),
        "decode": clock.time(lambda: decode_frames(vae, latents)),
    }


def measure_run(model: Any, vae: Any, arguments: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """Two windows through the loop, the sampler and the VAE: seconds of the second, a steady one."""
    from whole_run import play_windows

    width, height = (int(side) for side in arguments.size.split("x"))
    seconds = play_windows(model, vae, (width, height), arguments.frames, clock.wait)
    return {"window_1_s": round(seconds[0], 3), "window_2_s": round(seconds[1], 3)}


def measure_offloading(
    arguments: argparse.Namespace, size: Any, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """Whole windows with the weights in RAM at first: unlimited, then under each limit of GPU memory."""
    import limited_vram
    import real_size
    from whole_run import play_windows

    width, height = (int(side) for side in arguments.size.split("x"))
    base = real_size.wan_model(size, dtype, device, form=arguments.weights)
    base = limited_vram.to_ram(base, device)
    talk = limited_vram.to_ram(real_size.talk_patcher(size, torch.bfloat16, device), device)
    model = real_size.talking(base, talk, arguments.attention, compile_blocks=arguments.compile)
    vae = real_size.wan_vae(size, device)

    def play() -> list[float]:
        return play_windows(
            model, vae, (width, height), arguments.frames, lambda: torch.cuda.synchronize(device)
        )

    return limited_vram.measure_limits(model, arguments.vram_gb, device, play)


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    # The host compares devices, and its own has a number.
    device = torch.device("cuda:0" if arguments.device == "cuda" else arguments.device)
    pack_alias.prepare(use_cpu=device.type == "cpu")
    import comfy.model_management
    import real_size
    from evertalk_pack.nodes.host.backend import backend_for

    size = real_size.TINY if arguments.tiny else real_size.REAL
    dtype = WEIGHTS[arguments.weights]
    width, height = (int(side) for side in arguments.size.split("x"))
    report: dict[str, Any] = {"arguments": vars(arguments), "torch": torch.__version__}
    if device.type == "cuda":
        report["gpu"] = torch.cuda.get_device_name(device)
    clock = Clock(device, arguments.runs)
    if arguments.vram_gb:
        with torch.inference_mode():
            report["limits"] = measure_offloading(arguments, size, device, dtype)
        print(json.dumps(report, indent=1))
        return
    with torch.inference_mode():
        base = real_size.wan_model(size, dtype, device, form=arguments.weights)
        talk_dtype = torch.float32 if dtype is torch.float32 else torch.bfloat16
        model = real_size.talking(
            base,
            real_size.talk_patcher(size, talk_dtype, device),
            arguments.attention,
            compile_blocks=arguments.compile,
        )
        comfy.model_management.load_models_gpu([model, *model.get_nested_additional_models()])
        backend = backend_for(model, arguments.attention)
        report["attention"] = {"ran": backend.choice.ran, "notes": backend.choice.notes}
        inputs = forward_inputs(width, height, arguments.frames, device)
        report["forward"] = measure_forward(model, inputs, backend.attention, clock)
        print(json.dumps(report), flush=True)
        if not arguments.skip_vae:
            vae = real_size.wan_vae(size, device)
            report["vae"] = measure_vae(vae, width, height, arguments.frames, clock)
            report["run"] = measure_run(model, vae, arguments, clock)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
