"""Writes model files of real size from random weights, in seconds: made on the GPU, written tensor by tensor.

    python bench/random_files.py --models /fast/disk/models     fp8 base and fp16 audio weights, 24 GB
    python bench/random_files.py --models /fast/disk/models --base fp8_scaled --audio fp8_quant --lora
    python bench/random_files.py --models /fast/disk/models --whole flashtalk --base bf16

The names and shapes are those of the classes of the ComfyUI in COMFYUI_DIR. Files already there with the same
header are left alone. Every matrix is as wide as keeps what goes through it at its size, so that results stay
finite. Names of the files tell what they hold.
"""

import json
import math
import os
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import plain_parser
from weight_shapes import (
    REAL,
    TEXT_DIM,
    TEXT_TOKENS,
    TINY,
    ModelSizes,
    Shapes,
    audio_shapes,
    clip_vision_shapes,
    lora_shapes,
    speech_shapes,
    vae_shapes,
    wan_shapes,
)

FORMS = ("fp16", "bf16", "fp8_e4m3fn", "fp8_scaled", "fp8_quant")
"""fp8_e4m3fn: matrices in plain fp8. fp8_scaled: with a scale each and the old marks, fp8_quant: the new."""

FP8 = torch.float8_e4m3fn
DTYPE_OF = {"fp16": torch.float16, "bf16": torch.bfloat16}
SAFETENSORS_NAME = {
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.uint8: "U8",
    FP8: "F8_E4M3",
}
SCALED_STD = 64.0
"""Of fp8 numbers that carry a scale; the greatest of them is 448."""

LORA_UP_STD = 0.1 / 8
"""With rank 64 and downs of unit gain a LoRA then changes its matrix by a tenth."""

STEM = "diffusion_pytorch_model"
IN_BASE = "in the base model"
"""As the loader's combo says it."""

PROMPT_METADATA = {"evertalk_text_embeds": json.dumps({"version": 1})}
WRITERS, AHEAD = 4, 12

WHOLE = ("flashtalk", "skyreels")
"""Models that are published as a folder of parts with their audio weights inside."""

SHARDS = 7
"""As a model of 14B in two bytes a weight comes in."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a file: its type, its shape, and what makes it on a device."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    make: Callable[[torch.device], torch.Tensor]


def plain(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Stored:
    """Random numbers fit for a weight of this name and shape; ones for norms."""
    is_norm = name.endswith("gamma") or ("norm" in name and name.endswith("weight"))
    if is_norm:
        return Stored(dtype, shape, lambda device: torch.ones(shape, device=device, dtype=dtype))
    std = 0.02 if len(shape) < 2 or "modulation" in name else math.prod(shape[1:]) ** -0.5
    if ".lora_up." in name:
        std = LORA_UP_STD
    return Stored(dtype, shape, lambda device: _normal(shape, std, device).to(dtype))


def scaled(name: str, shape: tuple[int, int], scale_name: str) -> dict[str, Stored]:
    """A matrix in fp8 and its scale."""
    scale = shape[1] ** -0.5 / SCALED_STD
    matrix = Stored(FP8, shape, lambda device: _normal(shape, SCALED_STD, device).clamp(-448, 448).to(FP8))
    return {
        name: matrix,
        name.removesuffix("weight") + scale_name: Stored(
            torch.float32, (), lambda device: torch.tensor(scale, device=device)
        ),
    }


def _normal(shape: tuple[int, ...], std: float, device: torch.device) -> torch.Tensor:
    wide = torch.float32 if device.type == "cpu" else torch.bfloat16
    return torch.randn(shape, device=device, dtype=wide) * std


def stored_as(shapes: Shapes, form: str) -> dict[str, Stored]:
    """A model's tensors in one of FORMS; in fp8 its matrices, the rest in fp16."""
    if form in DTYPE_OF:
        return {name: plain(name, shape, DTYPE_OF[form]) for name, shape in shapes.items()}
    tensors: dict[str, Stored] = {}
    for name, shape in shapes.items():
        if len(shape) != 2:
            tensors[name] = plain(name, shape, torch.float16)
        elif form == "fp8_e4m3fn":
            tensors[name] = plain(name, shape, FP8)
        else:
            tensors |= scaled(name, shape, "scale_weight" if form == "fp8_scaled" else "weight_scale")
    if form == "fp8_scaled":
        tensors["scaled_fp8"] = Stored(FP8, (0,), lambda device: torch.empty(0, device=device, dtype=FP8))
    if form == "fp8_quant":
        mark = torch.tensor(list(json.dumps({"format": "float8_e4m3fn"}).encode()), dtype=torch.uint8)
        for name in [name for name in tensors if name.endswith("weight_scale")]:
            layer = name.removesuffix("weight_scale")
            tensors[f"{layer}comfy_quant"] = Stored(torch.uint8, tuple(mark.shape), lambda _device: mark)
    return tensors


def write(path: Path, tensors: dict[str, Stored], metadata: dict[str, str], device: torch.device) -> int:
    """Write a safetensors file if none with the same header is there; gives the bytes written."""
    header, places, end = _header_of(tensors, metadata)
    if path.is_file() and path.stat().st_size == end:
        with path.open("rb") as file:
            if file.read(len(header)) == header:
                return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    room = BoundedSemaphore(AHEAD)
    with part.open("wb") as file, ThreadPoolExecutor(WRITERS) as pool:
        file.write(header)
        file.flush()
        file.truncate(end)

        def put(content: torch.Tensor, offset: int) -> None:
            try:
                _write_at(file.fileno(), content, offset)
            finally:
                room.release()

        written = []
        for name, one in tensors.items():
            room.acquire()
            content = one.make(device).contiguous().cpu().reshape(-1).view(torch.uint8)
            written.append(pool.submit(put, content, places[name]))
        for future in written:
            future.result()
    part.replace(path)
    return end


def _header_of(tensors: dict[str, Stored], metadata: dict[str, str]) -> tuple[bytes, dict[str, int], int]:
    """The head of the file, where each tensor begins, and where the file ends."""
    entries: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    begins: dict[str, int] = {}
    offset = 0
    for name, one in tensors.items():
        size = math.prod(one.shape) * one.dtype.itemsize
        begins[name] = offset
        entries[name] = {
            "dtype": SAFETENSORS_NAME[one.dtype],
            "shape": list(one.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    head = struct.pack("<Q", len(text)) + text
    return head, {name: len(head) + begin for name, begin in begins.items()}, len(head) + offset


def _write_at(handle: int, content: torch.Tensor, offset: int) -> None:
    values: Any = content.numpy()
    left = memoryview(values)
    while left.nbytes:
        count = os.pwrite(handle, left, offset)
        left, offset = left[count:], offset + count


def config_of(tensors: dict[str, Stored], whole: str) -> dict[str, Any]:
    """What such a folder's config says, as far as shapes do; FlashTalk's also names `weight_init`."""
    patch = tensors["patch_embedding.weight"].shape
    config = {
        "_class_name": "WanModel",
        "model_type": "i2v",
        "dim": patch[0],
        "in_dim": patch[1],
        "ffn_dim": tensors["blocks.0.ffn.0.weight"].shape[0],
        "num_layers": len({name.split(".")[1] for name in tensors if name.startswith("blocks.")}),
        "audio_window": 5,
    }
    return config | ({"weight_init": True} if whole == "flashtalk" else {})


@dataclass(frozen=True, slots=True)
class FileSet:
    """The files of one run, by their names in the graph.

    Attributes:
        is_tiny: sizes that a CPU runs; without CLIP vision, which ComfyUI knows in real sizes only.
        base_form, audio_form: see FORMS.
        with_lora: also a LoRA.
        whole: one of WHOLE: a folder in the place of base and audio weights, in `base_form`; or empty.
    """

    is_tiny: bool = False
    base_form: str = "fp8_e4m3fn"
    audio_form: str = "fp16"
    with_lora: bool = False
    whole: str = ""

    @property
    def sizes(self) -> ModelSizes:
        """What the files' shapes follow from."""
        return TINY if self.is_tiny else REAL

    def _name(self, what: str) -> str:
        return f"bench_{'tiny' if self.is_tiny else 'real'}_{what}.safetensors"

    @property
    def base(self) -> str:
        if self.whole:
            return self._name(f"{self.whole}_{self.base_form}").removesuffix(".safetensors")
        return self._name(f"wan2.1_i2v_{self.base_form}")

    @property
    def audio(self) -> str:
        return IN_BASE if self.whole else self._name(f"infinitetalk_{self.audio_form}")

    @property
    def lora(self) -> str:
        return self._name("lora_rank64")

    @property
    def vae(self) -> str:
        return self._name("wan_vae")

    @property
    def speech(self) -> str:
        return self._name("wav2vec2_base")

    @property
    def prompt(self) -> str:
        return self._name("prompt")

    @property
    def clip_vision(self) -> str:
        return self._name("clip_vision_h")

    def write(self, models: Path, device: torch.device) -> int:
        """Write what is missing below ComfyUI's models folder; gives the bytes written."""
        sizes = self.sizes
        prompt = {"cross_attn": plain("cross_attn", (1, TEXT_TOKENS, TEXT_DIM), torch.float16)}
        files: list[tuple[str, dict[str, Stored], dict[str, str]]] = [
            *self._transformer_files(models),
            (f"vae/{self.vae}", stored_as(vae_shapes(sizes), "bf16"), {}),
            (f"audio_encoders/{self.speech}", stored_as(speech_shapes(sizes), "fp16"), {}),
            (f"evertalk_text_embeds/{self.prompt}", prompt, PROMPT_METADATA),
        ]
        if not self.is_tiny:
            clip = stored_as(clip_vision_shapes(), "fp16")
            files.append((f"clip_vision/{self.clip_vision}", clip, {}))
        if self.with_lora:
            files.append((f"loras/{self.lora}", stored_as(lora_shapes(sizes), "bf16"), {}))
        return sum(write(models / name, tensors, metadata, device) for name, tensors, metadata in files)

    def _transformer_files(self, models: Path) -> list[tuple[str, dict[str, Stored], dict[str, str]]]:
        """Base and audio weights, or a whole model's parts, whose config and index are written here."""
        sizes, name = self.sizes, f"diffusion_models/{self.base}"
        base = stored_as(wan_shapes(sizes), self.base_form)
        if not self.whole:
            audio = stored_as(audio_shapes(sizes), self.audio_form)
            return [(name, base, {}), (f"model_patches/{self.audio}", audio, {})]
        tensors = base | stored_as(audio_shapes(sizes), self.base_form)
        (models / name).mkdir(parents=True, exist_ok=True)
        names = sorted(tensors)
        parts = [f"{STEM}-{number:05d}-of-{SHARDS:05d}" for number in range(1, SHARDS + 1)]
        held = {
            f"{part}.safetensors": names[number * len(names) // SHARDS : (number + 1) * len(names) // SHARDS]
            for number, part in enumerate(parts)
        }
        index = {"weight_map": {one: file for file, ones in held.items() for one in ones}}
        (models / name / f"{STEM}.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
        config = config_of(tensors, self.whole)
        (models / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return [(f"{name}/{file}", {one: tensors[one] for one in ones}, {}) for file, ones in held.items()]


def main() -> None:
    """Write the files and say how much and how long."""
    parser = plain_parser(__doc__)
    parser.add_argument("--models", type=Path, required=True, help="ComfyUI's models folder")
    parser.add_argument("--base", choices=FORMS, default="fp8_e4m3fn")
    parser.add_argument("--audio", choices=FORMS, default="fp16")
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--whole", choices=("", *WHOLE), default="")
    parser.add_argument("--tiny", action="store_true")
    chosen = parser.parse_args()
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pack_alias.prepare(use_cpu=device.type == "cpu")
    files = FileSet(chosen.tiny, chosen.base, chosen.audio, chosen.lora, chosen.whole)
    size = files.write(chosen.models, device)
    row = {"what": "random_files", "written_gb": round(size / 1e9, 2)}
    print(json.dumps(row | {"seconds": round(time.monotonic() - started, 1)}), flush=True)


if __name__ == "__main__":
    main()
