"""Every form of weights in the real server, with and without a LoRA, beside bf16: latents of one window.

    python bench/precision.py --comfyui /path/to/ComfyUI --python /its/python --modes default,--novram
    python bench/precision.py --cpu        the same on a CPU

Each mode is a server of its own: `default`, or a flag of ComfyUI's main.py, such as
`--disable-dynamic-vram` or `--novram`, which leaves all weights in RAM. The models are the demo's: small, and
no measure of speed. A row for each form: the mean difference of its latents from bf16's, in bf16's
standard deviations, and what the LoRA changes: how far, against bf16, and the cosine between both changes.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "support"), str(ROOT / "bench")]

import quantised_files  # noqa: E402
from comfy_server import ON_CPU, ComfyServer  # noqa: E402
from kill_runs import prepare, tiny_run, write_speech  # noqa: E402
from make_tiny import BASE_FILE, TALK_FILE  # noqa: E402
from rows import emit, plain_parser  # noqa: E402

SECONDS = 0.6
RANK = 8
LORA = "bench_precision_lora.safetensors"
SAMPLER, SAVE = "8", "20"

Write = Callable[[Path, Path], Path]


@dataclass(frozen=True, slots=True)
class Form:
    """How base and audio weights are stored, and what the loader is asked for.

    Attributes:
        name: of the row.
        quantization: the loader's widget.
        write: makes a file of a plain one; None takes the plain one.
    """

    name: str
    quantization: str = "as stored"
    write: Write | None = None


REFERENCE = "bf16"
FORMS = (
    Form(REFERENCE, "bf16"),
    Form("as stored"),
    Form("fp16", "fp16"),
    Form("fp8_e4m3fn", "fp8_e4m3fn"),
    Form("fp8_e4m3fn_fast", "fp8_e4m3fn_fast"),
    Form("fp8_rowwise", "fp8_rowwise"),
    Form("file fp8_e4m3fn", write=partial(quantised_files.plain, dtype=torch.float8_e4m3fn)),
    Form("file scaled fp8, old", write=quantised_files.old_scaled),
    *(
        Form(f"file {name}", write=partial(quantised_files.remarked, format_name=name))
        for name in ("float8_e4m3fn", "nvfp4", "mxfp8", "int8_tensorwise")
    ),
)


def write_lora(models: Path) -> None:
    """A LoRA on every matrix of the blocks, large enough to be told from the rounding of fp8."""
    draw = torch.Generator().manual_seed(5)
    state: dict[str, torch.Tensor] = {}
    for name, weight in load_file(models / BASE_FILE).items():
        if name.startswith("blocks.") and name.endswith(".weight") and weight.ndim == 2:
            layer, size = name.removesuffix(".weight"), float(weight.float().std())
            up = torch.randn(weight.shape[0], RANK, generator=draw) * size
            state[f"diffusion_model.{layer}.lora_up.weight"] = 0.3 * up / RANK**0.5
            state[f"diffusion_model.{layer}.lora_down.weight"] = torch.randn(
                RANK, weight.shape[1], generator=draw
            )
    (models / "loras").mkdir(exist_ok=True)
    save_file(state, models / "loras" / LORA)


def files_of(form: Form, models: Path, number: int) -> tuple[str, str]:
    """The names of a form's base and audio weights, written if they are not there."""
    if form.write is None:
        return Path(BASE_FILE).name, Path(TALK_FILE).name
    names: list[str] = []
    for file in (BASE_FILE, TALK_FILE):
        path = (models / file).with_stem(f"form{number}_{Path(file).stem}")
        form.write(models / file, path)
        names.append(path.name)
    return names[0], names[1]


def latents_of(server: ComfyServer, form: Form, names: tuple[str, str], lora: str) -> torch.Tensor:
    """The latents that a run of one window gives."""
    workflow: dict[str, Any] = tiny_run(SECONDS, f"forms/{form.name}", output="latent", steps=4)
    workflow = {key: node for key, node in workflow.items() if node["class_type"] != "EverTalkDecode"}
    loader = next(node for node in workflow.values() if node["class_type"] == "EverTalkModelLoader")
    loader["inputs"] |= {
        "base_model": names[0],
        "talk_model": names[1],
        "mode": "infinitetalk",
        "quantization": form.quantization,
        "lora": lora,
        "attention_mode": "sdpa",
    }
    prefix = f"precision/{form.name.replace(' ', '_')}_{lora}"
    workflow[SAVE] = {
        "class_type": "SaveLatent",
        "inputs": {"samples": [SAMPLER, 0], "filename_prefix": prefix},
    }
    (saved,) = server.client.run(workflow).outputs[SAVE]["latents"]
    return load_file(server.output / saved["subfolder"] / saved["filename"])["latent_tensor"].float()


def measure(server: ComfyServer, mode: str) -> bool:
    """Print the rows of one server; whether all of them came to an end."""
    plain: dict[str, torch.Tensor] = {}
    changes: dict[str, torch.Tensor] = {}
    all_ran = True
    for number, form in enumerate(FORMS):
        row: dict[str, Any] = {"mode": mode, "form": form.name}
        try:
            names = files_of(form, server.models, number)
            plain[form.name] = latents_of(server, form, names, "none")
            changes[form.name] = latents_of(server, form, names, LORA) - plain[form.name]
        except Exception as error:  # noqa: BLE001  what a host cannot read is refused; the next form goes on
            emit({**row, "ended": str(error)[:300]})
            all_ran = False
            continue
        reference, change, wanted = plain[REFERENCE], changes[form.name], changes[REFERENCE]
        row["from_bf16"] = round(float((plain[form.name] - reference).abs().mean() / reference.std()), 5)
        row["lora_size"] = round(float(change.norm() / wanted.norm()), 4)
        row["lora_cosine"] = round(
            float(torch.cosine_similarity(change.flatten(), wanted.flatten(), dim=0)), 4
        )
        emit(row)
    return all_ran


def find_host(comfyui: Path, *, use_cpu: bool) -> None:
    """Let this process import the host, whose own code writes the files of newer forms."""
    sys.path.insert(0, str(comfyui))
    from comfy.cli_args import args

    args.cpu = use_cpu  # read once, when the host is imported further


def main() -> None:
    """Measure and print."""
    parser = plain_parser(__doc__)
    here = Path(os.environ.get("COMFYUI_DIR") or ROOT / ".cache" / "ComfyUI")
    parser.add_argument("--comfyui", type=Path, default=here)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="runs ComfyUI")
    parser.add_argument("--modes", default="default", help="default or a flag, joined by commas")
    parser.add_argument("--cpu", action="store_true", help="on a CPU")
    parser.add_argument("server_flags", nargs="*", help="after --: for ComfyUI's main.py, in every mode")
    arguments = parser.parse_args()
    find_host(arguments.comfyui.resolve(), use_cpu=arguments.cpu)
    all_ran = True
    for mode in arguments.modes.split(","):
        flags = [*(ON_CPU if arguments.cpu else ()), *arguments.server_flags]
        flags += [] if mode == "default" else [mode]
        with tempfile.TemporaryDirectory(prefix="evertalk_precision_") as folder:
            server = ComfyServer(
                arguments.comfyui.resolve(), Path(folder), flags=flags, python=arguments.python.absolute()
            )
            with server:
                stats = server.client.system_stats()
                emit(
                    {
                        "mode": mode,
                        "core": stats["system"]["comfyui_version"],
                        "device": stats["devices"][0]["name"],
                    }
                )
                prepare(server)
                write_speech(server, SECONDS)
                write_lora(server.models)
                all_ran = measure(server, mode) and all_ran
    raise SystemExit(0 if all_ran else 1)


if __name__ == "__main__":
    main()
