"""Puts what was trained into demo/models: matrices as fp8 with one scale each, all else in half precision.

    python demo/train/export.py --trained FOLDER --speech speech.safetensors --prompt prompt.safetensors

Hosts read this form themselves. The picture part of the base (CLIP) was never trained and is left out;
demo/make_tiny.py
adds it as zeros.
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

MODELS = Path(__file__).resolve().parents[1] / "models"
FP8_MAX = 448.0
FILES = {"tree": "base.safetensors", "talk": "talk.safetensors"}


def in_fp8(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights in the scaled form of the published fp8 files."""
    stored: dict[str, torch.Tensor] = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for name, value in weights.items():
        if value.ndim == 2 and name.endswith(".weight"):
            scale = value.float().abs().amax().clamp(min=1e-12) / FP8_MAX
            stored[name] = (value.float() / scale).to(torch.float8_e4m3fn)
            stored[name.removesuffix("weight") + "scale_weight"] = scale.reshape(1)
        else:
            stored[name] = value.half()
    return stored


def out_of_fp8(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights that in_fp8 has stored; others as they are, in float32."""
    weights: dict[str, torch.Tensor] = {}
    for name, value in stored.items():
        if value.dtype == torch.float8_e4m3fn and name != "scaled_fp8":
            weights[name] = value.float() * stored[name.removesuffix("weight") + "scale_weight"]
        elif not name.endswith("scale_weight") and name != "scaled_fp8":
            weights[name] = value.float()
    return weights


def main() -> None:
    """Convert and copy."""
    parser = argparse.ArgumentParser(description="Write demo/models.")
    for name in ("trained", "vae", "speech", "prompt"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    chosen = parser.parse_args()
    MODELS.mkdir(exist_ok=True)
    for part, name in FILES.items():
        save_file(in_fp8(load_file(chosen.trained / f"{part}.safetensors")), MODELS / name)
    for source, name in ((chosen.vae, "vae"), (chosen.speech, "speech"), (chosen.prompt, "prompt")):
        shutil.copyfile(source, MODELS / f"{name}.safetensors")
        (MODELS / f"{name}.safetensors").chmod(0o644)
    print(f"{sum(path.stat().st_size for path in MODELS.glob('*.safetensors')) / 1e6:.2f} MB in {MODELS}")


if __name__ == "__main__":
    main()
