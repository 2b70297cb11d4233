"""Times the forward, the VAE and whole windows at real size; a row of JSON each.

    python bench/gpu.py                              bf16 on the first CUDA device, 832x480, 81 frames
    python bench/gpu.py --weights fp8_e4m3fn_fast    fp8 weights with fp8 matrix products
    python bench/gpu.py --compile --parts one_voice windows
                                                     blocks under torch.compile, and no more than these parts
    python bench/gpu.py --device cpu --tiny          the same code on small shapes

Everything runs through the host's classes and the pack's own nodes/host code, with random weights.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import add_model, add_size, emit, emit_setting, parser_of, size_of
from timing import Clock

FORWARDS = ("host_without_audio", "one_voice", "two_voices")
PARTS = (*FORWARDS, "vae", "windows")


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    add_size(parser)
    add_model(parser, runs=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--profile", action="store_true", help="also where the GPU's time goes, by kernel")
    return parser.parse_args()


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


def measure_codec(
    vae: Any, size: tuple[int, int, int], motion: int, clock: Clock, *, compiled: bool
) -> float:
    """Encoding of a window's last frames for the next, and decoding of a window; seconds of both."""
    from evertalk_pack.nodes.host.codecs.vae import Codec

    width, height, frames = size
    codec = Codec(vae, compile_decoder=compiled)
    frames_FHWC = torch.rand(frames, height, width, 3)
    latents = codec.encode(frames_FHWC)
    encode = clock.time(lambda: codec.encode(frames_FHWC[-motion:]))
    emit({"what": "encode_motion", **encode})
    decode = clock.time(lambda: codec.decode(latents))
    emit({"what": "decode", **decode})
    clock.profile("decode", lambda: codec.decode(latents))
    return encode["best_s"] + decode["best_s"]


def measure_vae(vae: Any, size: tuple[int, int, int], clock: Clock, *, compiled: bool) -> None:
    """Encoding of a window's picture, and what is done for every window."""
    from evertalk_pack.multitalk.common.types import MOTION_FRAMES
    from evertalk_pack.nodes.host.codecs.vae import Codec

    width, height, frames = size
    codec, frames_FHWC = Codec(vae), torch.rand(frames, height, width, 3)
    codec.encode(frames_FHWC)
    emit({"what": "encode", **clock.time(lambda: codec.encode(frames_FHWC))})
    measure_codec(vae, size, MOTION_FRAMES, clock, compiled=compiled)


def measure_all(arguments: argparse.Namespace) -> None:
    """The parts that are asked for, on weights that lie on the GPU."""
    import real_size
    from whole_run import play_windows

    device, parts, size = arguments.device, arguments.parts, real_size.sizes_of(arguments)
    width, height, frames = size_of(arguments)
    clock = Clock(device, arguments.runs, profiles=arguments.profile)
    model = real_size.asked_model(arguments, size)
    backend = real_size.loaded(model, arguments.attention)
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
    emit_setting("gpu", arguments, arguments.device)
    with torch.inference_mode():
        measure_all(arguments)


if __name__ == "__main__":
    main()
