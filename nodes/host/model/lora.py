"""A LoRA on the base model through the host's own code, and how much of the file took effect."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.lora
import comfy.lora_convert
import torch
from comfy.model_patcher import ModelPatcher
from comfy.utils import load_torch_file
from comfy.weight_adapter import WeightAdapterBase
from torch import nn

from ....multitalk.common.errors import ModelFileError
from ....wanvideo.lora_names import HOST, host_names
from .patch_sizes import misfits, weight_size

MODULATION = ".modulation"
"""How the names of a block's and the head's own weights end."""

SHOWN_KEYS = 3
"""Of the keys that belong to nothing, how many are named."""


@dataclass(frozen=True, slots=True)
class LoraReport:
    """What became of a LoRA.

    Attributes:
        note: how many weights it changes.
        warnings: what of it has no effect, a sentence each.
    """

    note: str
    warnings: tuple[str, ...] = ()


def load_lora(model: ModelPatcher, path: Path, strength: float) -> tuple[ModelPatcher, LoraReport]:
    """A clone with a LoRA on the base's weights, as the host applies it, and how much of it took effect.

    Raises:
        ModelFileError: nothing of the LoRA belongs to this model, or fits it.
    """
    keys = comfy.lora.model_lora_keys_unet(model.model, {})
    tensors: Any = load_torch_file(str(path), safe_load=True)
    file: dict[str, Any] = comfy.lora_convert.convert_lora(tensors)
    names = host_names(file, transformer_weights(model))
    state = {names[name]: in_hosts_form(model, names[name], tensor) for name, tensor in file.items()}
    patches: dict[Any, Any] = comfy.lora.load_lora(state, keys, log_missing=False)
    wrong = misfits(model, patches)
    patched = model.clone()
    fitting = {key: value for key, value in patches.items() if key not in wrong}
    rows = {key: value for key, value in fitting.items() if key.endswith(MODULATION)}
    changed = set(patched.add_patches({key: fitting[key] for key in fitting if key not in rows}, strength))
    changed |= change_modulations(patched, rows, strength)
    if not changed:
        raise nothing_changed(path.name, file, wrong)
    notes: list[str] = []
    if wrong:
        notes.append(
            f"LoRA {path.name}: {len(wrong)} of its {len(patches)} changes are of another size than this "
            f"base model's weights and have no effect, such as {sized(wrong)}. It was made for another model."
        )
    unused = set(unused_keys(state, patches))
    strange = [name for name in file if names[name] in unused]
    if strange:
        notes.append(
            f"LoRA {path.name}: {len(strange)} of its {len(file)} tensors belong to no weight of this base "
            f"model and have no effect: {examples(strange)}."
        )
    note = f"LoRA {path.name} at {strength:g}: {len(changed)} of the model's weights changed"
    return patched, LoraReport(note, tuple(notes))


def change_modulations(model: ModelPatcher, changes: Mapping[str, Any], strength: float) -> set[str]:
    """Put changed modulations in place of a MODEL's own while it is in use; their names.

    The host patches the weights of layers alone; a modulation belongs to a block as a whole, and a patch of
    it would be counted and never act (seen in 0.3.75 and 0.33).
    """
    changed: set[str] = set()
    for key, value in changes.items():
        own = model.get_model_object(key)
        if value[0] == "diff" and isinstance(own, torch.Tensor):
            plain = own.detach().as_subclass(torch.Tensor)  # GGUF loaders hold subclasses
            added = strength * value[1][0].to(plain.device, torch.float32)
            model.add_object_patch(
                key, nn.Parameter((plain.float() + added).to(plain.dtype), requires_grad=False)
            )
            changed.add(key)
    return changed


def nothing_changed(name: str, file: Mapping[str, Any], wrong: Mapping[str, str]) -> ModelFileError:
    """The refusal of a LoRA that has no effect."""
    if wrong:
        return ModelFileError(
            f"lora: all {len(wrong)} changes of {name} are of another size than this base model's weights, "
            f"such as {sized(wrong)}. Choose a LoRA made for Wan 2.1 I2V 14B instead"
        )
    return ModelFileError(
        f"lora: {name} has {len(file)} tensors and none belongs to this base model. Its keys look like "
        f"{examples(file)}; known are the names of Wan's own code and of diffusers, with any prefix. Choose "
        "a LoRA made for Wan 2.1 I2V 14B, such as lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16."
    )


def transformer_weights(model: ModelPatcher) -> list[str]:
    """The names of the transformer's weights, without HOST."""
    return [name.removeprefix(HOST) for name in model.model.state_dict() if name.startswith(HOST)]


def in_hosts_form(model: ModelPatcher, name: str, tensor: Any) -> Any:
    """A tensor as the host computes with it: a modulation's change in its shape, DoRA's sizes upright."""
    if name.endswith(".modulation.diff"):
        size = weight_size(model, name.removesuffix(".diff"))
        fits = size is not None and torch.Size(size).numel() == tensor.numel()
        return tensor.reshape(size) if fits else tensor
    return tensor[:, None] if name.endswith(".dora_scale") and tensor.ndim == 1 else tensor


def sized(wrong: Mapping[str, str]) -> str:
    """The first weight that a change does not fit, with both sizes."""
    key, sizes = next(iter(wrong.items()))
    return f"`{key.removeprefix(HOST)}` ({sizes})"


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
    count = len(model.patches) - len(patch_misfits(model))
    return (f"LoRA from other nodes: {count} of the model's weights changed",)


def patch_warnings(model: ModelPatcher) -> tuple[str, ...]:
    """What has no effect of the changes that a MODEL carries, whoever put them there."""
    wrong = patch_misfits(model)
    if not wrong:
        return ()
    note = (
        f"LoRA from other nodes: {len(wrong)} of the {len(model.patches)} weights that are to change stay as "
        f"they are, since the change is of another size, such as {sized(wrong)}. It was made for another "
        "model."
    )
    return (note,)


def patch_misfits(model: ModelPatcher) -> dict[str, str]:
    """The weights of a MODEL on which no change fits."""
    wrong: dict[str, str] = {}
    for key, changes in model.patches.items():
        found = [misfits(model, {key: value}) for _, value, _, offset, _ in changes if offset is None]
        if found and len(found) == len(changes) and all(found):
            wrong.update(found[0])
    return wrong
