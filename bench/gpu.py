"""Times the forward, the VAE and whole windows at real size; a row of JSON each.

    python bench/gpu.py                              bf16 on the first CUDA device, 832x480, 81 frames
    python bench/gpu.py --weights fp8_e4m3fn_fast    fp8 weights with fp8 matrix products
    python bench/gpu.py --compile --parts one_voice windows
                                                     blocks under torch.compile, and no more than these parts
    python bench/gpu.py --weights fp8_e4m3fn --vram-gb 0 24 16 12
                                                     only whole windows, on a GPU made to seem smaller
    python bench/gpu.py --device cpu --tiny          the same code on small shapes

Everything runs through the host's classes and the pack's own nodes/host code, with random weights.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import add_size, emit, emit_setting, parser_of, size_of

WEIGHTS = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e4m3fn_fast": torch.float8_e4m3fn,
    "fp8_rowwise": torch.bfloat16,
}
KERNELS_SHOWN, KERNEL_NAME_LENGTH = 24, 110
FORWARDS = ("host_without_audio", "one_voice", "two_voices")
PARTS = (*FORWARDS, "vae", "windows")


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    add_size(parser)
    parser.add_argument("--weights", choices=WEIGHTS, default="bf16")
    parser.add_argument("--attention", default="auto", help="backend of the pack")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="blocks under torch.compile")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--profile", action="store_true", help="also where the GPU's time goes, by kernel")
    parser.add_argument(
        "--vram-gb",
        type=float,
        nargs="+",
        default=[],
        help="time windows alone, under these limits in GiB; 0 is none",
    )
    return parser.parse_args()


class Clock:
    """Times calls and notes the peak of GPU memory.

    Args:
        device: what computes.
        runs: calls that count, after a first.
        profiles: `profile` does something.
    """

    def __init__(self, device: torch.device, runs: int, *, profiles: bool = False) -> None:
        self.device, self.runs, self.profiles = device, runs, profiles

    def profile(self, what: str, call: Callable[[], Any]) -> None:
        """Print the kernels of one call that take the most time, where that is asked for."""
        if self.profiles:
            emit({"what": "profile", "of": what, **kernel_times(call, self.wait)})

    def wait(self) -> None:
        """Until the GPU has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def time(self, call: Callable[[], Any]) -> dict[str, Any]:
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


def kernel_times(call: Callable[[], Any], wait: Callable[[], None]) -> dict[str, Any]:
    """Milliseconds of all kernels of a call, and of the longest ones with how often they ran."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        call()
        wait()
    found: Any = profile.key_averages()
    kernels = sorted(
        (round(event.self_device_time_total / 1e3, 2), event.count, event.key[:KERNEL_NAME_LENGTH])
        for event in found
        if event.device_type.name == "CUDA" and event.self_device_time_total > 0
    )
    all_ms = round(sum(kernel[0] for kernel in kernels), 1)
    return {"all_ms": all_ms, "kernels": kernels[: -KERNELS_SHOWN - 1 : -1]}


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
    model: Any, inputs: dict[str, torch.Tensor], attention: Any, clock: Clock, parts: list[str]
) -> None:
    """The host's own forward, one voice and two: those of them that are asked for."""
    from evertalk_pack.multitalk.common.mask_places import default_masks
    from evertalk_pack.multitalk.speakers.masks import make_speaker_masks
    from evertalk_pack.multitalk.windows.loop import WindowVoices
    from evertalk_pack.nodes.host.model.memory import forward_size
    from evertalk_pack.nodes.host.model.patcher import KEY, TalkCall, talks_of
    from evertalk_pack.wanvideo.memory import forward_bytes

    inputs = dict(inputs)
    audio_SFKLC = inputs.pop("audio_SFKLC")
    rows, columns = inputs["x"].shape[3] * 8, inputs["x"].shape[4] * 8
    masks_MP = make_speaker_masks(default_masks(2, rows, columns), 2, rows, columns).token_MK
    sigma = torch.full((1,), 0.9, device=inputs["x"].device)
    voices_of = {
        "host_without_audio": None,
        "one_voice": WindowVoices(audio_SFKLC[:1]),
        "two_voices": WindowVoices(audio_SFKLC, masks_MP),
    }
    for name, voices in voices_of.items():
        if name not in parts:
            continue
        options = {
            "cond_or_uncond": [0],
            KEY: None if voices is None else TalkCall((voices,), attention, talks_of(model)),
            "wrappers": model.wrappers,
        }

        def call(options: dict[str, Any] = options) -> None:
            model.model.apply_model(t=sigma, transformer_options=options, **inputs)

        row = clock.time(call)
        if voices is not None:
            size = forward_size(model, inputs["x"], voices, attention, 0)
            row["declared_gb"] = round(forward_bytes(size) / 1e9, 3)
        emit({"what": name, **row})
        clock.profile(name, call)


def measure_vae(vae: Any, size: tuple[int, int, int], clock: Clock, *, compiled: bool) -> None:
    """Encoding of a window's picture and decoding of a window, as the loop calls them."""
    from evertalk_pack.nodes.host.codecs.vae import Codec

    width, height, frames = size
    codec = Codec(vae, compile_decoder=compiled)
    frames_FHWC = torch.rand(frames, height, width, 3)
    latents = codec.encode(frames_FHWC)
    emit({"what": "encode", **clock.time(lambda: codec.encode(frames_FHWC))})
    emit({"what": "encode_motion", **clock.time(lambda: codec.encode(frames_FHWC[:9]))})
    emit({"what": "decode", **clock.time(lambda: codec.decode(latents))})
    clock.profile("decode", lambda: codec.decode(latents))


def measure_offloading(arguments: argparse.Namespace, size: Any) -> None:
    """Whole windows with the weights in RAM at first: unlimited, then under each limit of GPU memory."""
    import limited_vram
    import real_size
    from whole_run import play_windows

    device, dtype = arguments.device, WEIGHTS[arguments.weights]
    width, height, frames = size_of(arguments)
    base = real_size.wan_model(size, dtype, device, form=arguments.weights)
    base = limited_vram.to_ram(base, device)
    talk = limited_vram.to_ram(real_size.talk_patcher(size, torch.bfloat16, device), device)
    model = real_size.talking(base, talk, arguments.attention, compile_blocks=arguments.compile)
    vae = real_size.wan_vae(size, device)
    wait = Clock(device, 0).wait
    limited_vram.measure_limits(
        model, arguments.vram_gb, device, lambda: play_windows(model, vae, (width, height), frames, wait)
    )


def measure_all(arguments: argparse.Namespace, size: Any) -> None:
    """The parts that are asked for, on weights that lie on the GPU."""
    import comfy.model_management
    import real_size
    from evertalk_pack.nodes.host.model.backend import backend_for
    from whole_run import play_windows

    device, dtype, parts = arguments.device, WEIGHTS[arguments.weights], arguments.parts
    width, height, frames = size_of(arguments)
    clock = Clock(device, arguments.runs, profiles=arguments.profile)
    base = real_size.wan_model(size, dtype, device, form=arguments.weights)
    talk_dtype = torch.float32 if dtype is torch.float32 else torch.bfloat16
    talk = real_size.talk_patcher(size, talk_dtype, device)
    model = real_size.talking(base, talk, arguments.attention, compile_blocks=arguments.compile)
    comfy.model_management.load_models_gpu([model, *model.get_nested_additional_models()])
    backend = backend_for(model, arguments.attention)
    emit({"what": "attention", "ran": backend.choice.ran, "notes": backend.choice.notes})
    measure_forward(model, forward_inputs(width, height, frames, device), backend.attention, clock, parts)
    if {"vae", "windows"}.isdisjoint(parts):
        return
    vae = real_size.wan_vae(size, device)
    if "vae" in parts:
        measure_vae(vae, (width, height, frames), clock, compiled=arguments.compile)
    if "windows" in parts:
        seconds = play_windows(model, vae, (width, height), frames, clock.wait)
        emit({"what": "windows", "window_s": [round(one, 3) for one in seconds]})


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    pack_alias.prepare(use_cpu=arguments.device.type == "cpu")
    import real_size

    emit_setting("gpu", arguments, arguments.device)
    size = real_size.TINY if arguments.tiny else real_size.REAL
    with torch.inference_mode():
        if arguments.vram_gb:
            measure_offloading(arguments, size)
        else:
            measure_all(arguments, size)


if __name__ == "__main__":
    main()
