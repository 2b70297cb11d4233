"""A LoRA on the base model through the host's own code, and how much of the file it took."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.lora
import comfy.lora_convert
import torch
from comfy.model_patcher import ModelPatcher
from comfy.utils import load_torch_file
from comfy.weight_adapter import WeightAdapterBase

from ...multitalk.errors import ModelFileError

SHOWN_KEYS = 3
"""Of the keys that belong to nothing, how many are named."""


def load_lora(model: ModelPatcher, path: Path, strength: float) -> tuple[ModelPatcher, str]:
    """A clone with a LoRA on the base's weights, as the host applies it, and how much of it matched.

    Raises:
        ModelFileError: nothing of the LoRA belongs to this model.
    """
    keys = comfy.lora.model_lora_keys_unet(model.model, {})
    file: Any = load_torch_file(str(path), safe_load=True)
    state: Mapping[str, Any] = comfy.lora_convert.convert_lora(file)
    patches = comfy.lora.load_lora(state, keys, log_missing=False)
    patched = model.clone()
    matched = set(patched.add_patches(patches, strength))
    if not matched:
        raise ModelFileError(
            f"lora: {path.name} has {len(state)} tensors and none belongs to this base model. Its keys look "
            f"like {examples(state)}. Choose a LoRA made for Wan 2.1 I2V 14B, such as "
            "lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16."
        )
    note = f"LoRA {path.name} at {strength:g}: {len(matched)} of the model's weights changed"
    strange = unused_keys(state, patches)
    if strange:
        note += f"; {len(strange)} of its {len(state)} tensors belong to no weight here: {examples(strange)}"
    return patched, note


def unused_keys(state: Mapping[str, Any], patches: Mapping[Any, Any]) -> list[str]:
    """The names in a LoRA file that the host found no use for."""
    used: set[str] = set()
    held: set[int] = set()
    for value in patches.values():
        if isinstance(value, WeightAdapterBase):
            used |= value.loaded_keys
        else:
            held |= {id(tensor) for tensor in value[1] if isinstance(tensor, torch.Tensor)}
    return [name for name, tensor in state.items() if name not in used and id(tensor) not in held]


def examples(names: Mapping[str, Any] | list[str]) -> str:
    """The first few of some names."""
    shown = list(names)[:SHOWN_KEYS]
    return ", ".join(f"`{name}`" for name in shown) + (", ..." if len(names) > len(shown) else "")


def patched_note(model: ModelPatcher) -> tuple[str, ...]:
    """How many weights of a MODEL are changed by what other nodes put on it; nothing when none are."""
    if not model.patches:
        return ()
    return (f"LoRA from other nodes: {len(model.patches)} of the model's weights changed",)
