"""What all benches print: a row of JSON as soon as a result is there, so that a run cut short keeps it."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

HOST = Path(__file__).resolve().parent.parent / ".cache" / "ComfyUI"
"""Where `make host` puts a ComfyUI."""

WEIGHTS = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e4m3fn_fast": torch.float8_e4m3fn,
    "fp8_rowwise": torch.bfloat16,
}


def emit(row: dict[str, Any], out: Path | None = None) -> None:
    """Print a row, and append it to a file where there is one."""
    line = json.dumps(row)
    print(line, flush=True)
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def emit_setting(bench: str, arguments: argparse.Namespace, device: torch.device) -> None:
    """Print what the rows after it were measured with."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    settings = {name: str(value) for name, value in vars(arguments).items()}
    row = {"bench": bench, "arguments": settings, "torch": torch.__version__, "gpu": gpu}
    if device.type == "cuda":
        row["allocator"] = torch.cuda.get_allocator_backend()
    emit(row)


def digits(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")


def plain_parser(description: str | None) -> argparse.ArgumentParser:
    """A command line whose help shows the description as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """A command line with the device that is measured."""
    parser = plain_parser(description)
    parser.add_argument("--device", default="cuda", type=numbered_device)
    return parser


def numbered_device(name: str) -> torch.device:
    """The device by its full name: the host compares devices, and its own GPU has a number."""
    return torch.device("cuda:0" if name == "cuda" else name)


def add_server(parser: argparse.ArgumentParser, limit_s: float, of_what: str, seconds_s: float) -> None:
    """The real server and its model files, and how long it may all take; `of_what` --limit is."""
    here = Path(os.environ.get("COMFYUI_DIR") or HOST)
    parser.add_argument("--comfyui", type=Path, default=here)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="runs ComfyUI")
    parser.add_argument("--models", type=Path, help="folder for the files, which are written where missing")
    parser.add_argument("--limit", type=float, default=limit_s, help=f"seconds of {of_what}")
    parser.add_argument("--seconds", type=float, default=seconds_s, help="of all, once the files are there")
    parser.add_argument("--out", type=Path, help="a file to append the rows to as well")
    parser.add_argument("--tiny", action="store_true", help="on a CPU, small")


def add_size(parser: argparse.ArgumentParser) -> None:
    """Size and length of the window, and the choice of a model that a CPU can run."""
    parser.add_argument("--size", help="WIDTHxHEIGHT in pixels; 832x480, or 64x64 with --tiny")
    parser.add_argument("--frames", type=int, help="of a window; 81, or 13 with --tiny")
    parser.add_argument("--tiny", action="store_true", help="a small model instead of the real size")


def add_model(parser: argparse.ArgumentParser, runs: int) -> None:
    """The form of the weights, how they are computed with, and how often."""
    parser.add_argument("--weights", choices=WEIGHTS, default="bf16")
    parser.add_argument("--attention", default="auto", help="backend of the pack")
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--compile", action="store_true", help="blocks under torch.compile")


def size_of(arguments: argparse.Namespace) -> tuple[int, int, int]:
    """Width and height in pixels, and frames."""
    size, frames = ("64x64", 13) if arguments.tiny else ("832x480", 81)
    width, height = (int(side) for side in (arguments.size or size).split("x"))
    return width, height, arguments.frames or frames
