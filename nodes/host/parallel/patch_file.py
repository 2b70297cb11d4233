"""What nodes changed of a MODEL's weights (LoRA above all), from the server to its workers.

Numbers and names travel in the recipe, tensors in one safetensors file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from comfy.model_patcher import ModelPatcher
from comfy.weight_adapter import WeightAdapterBase, adapters
from safetensors.torch import load_file, save_file
from torch import nn

from ....multitalk.common.errors import InputError
from ..compat.precision import COMPUTED
from ..model.connected import name_of

TRANSFORMER = "diffusion_model."
"""What the names of a transformer's weights begin with on the host."""

TENSOR = "tensor"
"""Marks in a recipe that a value lies in the file, under this name."""

Said = dict[str, Any]


@dataclass(slots=True)
class TensorStore:
    """Tensors by the names that stand in for them in a recipe."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])

    def said(self, value: Any) -> Any:
        """A value of a patch as JSON can hold it."""
        if isinstance(value, torch.Tensor):
            name = str(len(self.tensors))
            # A copy: safetensors refuses two names for the same memory.
            self.tensors[name] = value.detach().as_subclass(torch.Tensor).cpu().clone().contiguous()
            return {TENSOR: name}
        if isinstance(value, list | tuple):
            return [self.said(one) for one in cast("list[Any]", value)]
        return value

    def read(self, said: Any) -> Any:
        """A value of a patch, out of JSON and the file."""
        if isinstance(said, dict):
            return self.tensors[cast("dict[str, str]", said)[TENSOR]]
        if isinstance(said, list):
            return tuple(self.read(one) for one in cast("list[Any]", said))
        return said


def check_patches(model: ModelPatcher) -> None:
    """Refuse changes of weights that can only be made in this process.

    Raises:
        InputError: names what was changed, and by what.
    """
    for key, changes in model.patches.items():
        for _, value, _, offset, function in changes:
            held = value.weights if type(value) in adapters else value
            if function is not None or not is_plain(held) or not is_plain(offset):
                raise _unsendable(str(key), function or value)
    for name, part in model.object_patches.items():
        if name.startswith(TRANSFORMER) and not isinstance(part, torch.Tensor):
            raise _unsendable(name, part)


def is_plain(value: Any) -> bool:
    """Whether a value is made of tensors, numbers and names alone."""
    if isinstance(value, list | tuple):
        return all(is_plain(one) for one in cast("list[Any]", value))
    return value is None or isinstance(value, torch.Tensor | bool | int | float | str)


def _unsendable(name: str, what: Any) -> InputError:
    return InputError(
        f"model: a node changes {name} by code of its own ({name_of(what)}), which cannot be given to the "
        "processes on the other GPUs. Remove that node, or set gpus of EverTalk Parallel to 1."
    )


def replaced_parts(model: ModelPatcher) -> dict[str, torch.Tensor]:
    """The weights of a transformer in whose place a MODEL has others, by name; see check_patches."""
    return {
        name: part
        for name, part in model.object_patches.items()
        if name.startswith(TRANSFORMER) and name != COMPUTED
    }


def write_patches(model: ModelPatcher, file: Path) -> Said:
    """Write the tensors of a MODEL's changes; the rest of them, for a recipe."""
    store = TensorStore()
    weights = [
        {
            "key": key,
            "strength": strength,
            "of_model": strength_model,
            "offset": offset,
            "adapter": value.name if isinstance(value, WeightAdapterBase) else None,
            "value": store.said(value.weights if isinstance(value, WeightAdapterBase) else value),
        }
        for key, changes in model.patches.items()
        for strength, value, strength_model, offset, _ in changes
    ]
    parts = {name: store.said(part) for name, part in replaced_parts(model).items()}
    if store.tensors:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(store.tensors, file)
    return {"weights": weights, "parts": parts, "file": str(file) if store.tensors else None}


def read_patches(said: Said, model: ModelPatcher) -> ModelPatcher:
    """A clone of `model` with the changes that write_patches wrote."""
    file: str | None = said["file"]
    store = TensorStore({} if file is None else load_file(file))
    patched = model.clone()
    for change in said["weights"]:
        offset = None if change["offset"] is None else tuple(change["offset"])
        key = change["key"] if offset is None else (change["key"], offset)
        # One at a time: the strengths may differ, and a weight may be changed more than once.
        value = _value(change, store)
        patched.add_patches({key: value}, change["strength"], change["of_model"])
    for name, part in cast("Mapping[str, Any]", said["parts"]).items():
        patched.add_object_patch(name, nn.Parameter(store.read(part), requires_grad=False))
    return patched


def _value(change: Said, store: TensorStore) -> Any:
    value = store.read(change["value"])
    if change["adapter"] is None:
        return value
    kind = next(one for one in adapters if one.name == change["adapter"])
    made: Any = kind
    return made(set[str](), value)
