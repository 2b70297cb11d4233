"""Times FlashTalk's windows at real size: 448x768, 33 frames of which 28 are new, in four steps and in two.

    python bench/flashtalk.py --weights fp8_e4m3fn_fast --compile
    python bench/flashtalk.py --device cpu --tiny

Rows for one evaluation, decode of a window, encode of motion frames, and whole windows with their parts and
the frames a second that they give (25 is live). Random weights; needs a ComfyUI in COMFYUI_DIR.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from gpu import forward_inputs, measure_codec, measure_forward
from rows import add_model, add_size, emit, emit_setting, parser_of, size_of
from timing import Clock

DEFAULT_SIZE, TINY_SIZE = "448x768", "64x64"
DEFAULT_FRAMES, TINY_FRAMES = 33, 9


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    add_size(parser)
    add_model(parser, runs=3)
    parser.add_argument("--windows", type=int, default=5, help="of each schedule; the first is not counted")
    parser.add_argument("--profile", action="store_true", help="also where the GPU's time goes, by kernel")
    arguments = parser.parse_args()
    arguments.size = arguments.size or (TINY_SIZE if arguments.tiny else DEFAULT_SIZE)
    arguments.frames = arguments.frames or (TINY_FRAMES if arguments.tiny else DEFAULT_FRAMES)
    return arguments


def measure_windows(model: Any, vae: Any, size: tuple[int, int, int], count: int, clock: Clock) -> None:
    """Windows in four steps and in two, colours matched as the weights' authors do."""
    from evertalk_pack.multitalk.windows import flashtalk
    from evertalk_pack.multitalk.windows.settings import FLASHTALK_SCHEDULES, NoiseSchedule
    from whole_run import Recipe, made_windows

    width, height, frames = size
    look, _ = flashtalk.MODEL.look_of(None)
    for scheduler in FLASHTALK_SCHEDULES:
        recipe = Recipe(NoiseSchedule(scheduler), flashtalk.WINDOWS.motion_frames, count, look)
        first, *later = made_windows(model, vae, (width, height), frames, clock.wait, recipe)
        seconds = statistics.median(made.seconds for made in later)
        parts = {
            part: round(statistics.median(made.parts.get(part, 0.0) for made in later), 4)
            for part in later[0].parts
        }
        row = {"what": "windows", "schedule": scheduler, "first_s": round(first.seconds, 3)}
        row |= {"window_s": round(seconds, 3), "frames_a_second": round(later[0].new_frames / seconds, 2)}
        emit(row | {"parts_s": parts, "peak_gb": peak_gb(clock.device)})


def peak_gb(device: torch.device) -> float | None:
    """The most that PyTorch's tensors took on a GPU so far."""
    return round(torch.cuda.max_memory_allocated(device) / 1e9, 2) if device.type == "cuda" else None


def measure_all(arguments: argparse.Namespace) -> None:
    """All parts, on weights that lie on the device."""
    import real_size
    from evertalk_pack.multitalk.windows import flashtalk
    from evertalk_pack.nodes.host.model.talking_model import audio_in_fp8

    device, size = arguments.device, real_size.sizes_of(arguments)
    width, height, frames = size_of(arguments)
    clock = Clock(device, arguments.runs, profiles=arguments.profile)
    model = real_size.asked_model(arguments, size)
    backend = real_size.loaded(model, arguments.attention)
    emit({"what": "audio", "products": "fp8 with a scale a row" if audio_in_fp8(model) else "bfloat16"})
    inputs = forward_inputs(width, height, frames, device)
    measure_forward(model, inputs, backend.attention, clock, ["one_voice"])
    vae = real_size.wan_vae(size, device)
    motion = flashtalk.WINDOWS.motion_frames
    measure_codec(vae, (width, height, frames), motion, clock, compiled=arguments.compile)
    measure_windows(model, vae, (width, height, frames), arguments.windows, clock)


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    pack_alias.prepare(use_cpu=arguments.device.type == "cpu")
    emit_setting("flashtalk", arguments, arguments.device)
    with torch.inference_mode():
        measure_all(arguments)


if __name__ == "__main__":
    main()
