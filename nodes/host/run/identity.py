"""What tells a model as it would be sampled from another: its weights, its LoRA, its patches."""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from types import CellType, FunctionType, MethodType
from typing import Any, cast

import torch
from comfy.model_patcher import ModelPatcher
from torch import nn

from ....multitalk.common.fingerprint import fingerprint
from ..model.patcher import KEY
from ..model.weights_identity import is_tensor, sampled, weights_identity
from ..sampling.clip_vision import FixedClipVision, PerWindowClipVision

MAX_DEPTH = 8


def model_identity(patcher: ModelPatcher) -> str:
    """The fingerprint of a MODEL as it would be sampled: weights, LoRA and other patches, model options."""
    return fingerprint(
        weights_identity(patcher),
        {str(key): [patch_identity(patch) for patch in patches] for key, patches in patcher.patches.items()},
        {str(name): part_identity(part) for name, part in patcher.object_patches.items()},
        outline(patcher.model_options),
        outline(patcher.wrappers),
        str(patcher.model_dtype()),
    )


def part_identity(part: Any) -> Any:
    """What stands in for a part of the model: a weight by its values, all else by name."""
    if isinstance(part, torch.dtype):  # the precision that is computed in
        return str(part)
    return sampled(part) if is_tensor(part) else named(part)


def patch_identity(patch: tuple[Any, ...]) -> Any:
    """A LoRA's or another patch of one weight: strengths, offset, and samples of what it holds."""
    strength, value, strength_model, offset, function = patch
    return strength, outline(value), strength_model, outline(offset), outline(function)


def outline(value: Any, depth: int = 0) -> Any:
    """A value of the host's as one that has a fingerprint: tensors sampled, functions and objects by name.

    What nodes put on a MODEL is told apart by what it was made of: a function by its defaults and what it
    encloses, an object by what its class was given. All else that an object holds may be a counter or a
    cache, which a run changes. Models count by their weights.
    """
    if depth > MAX_DEPTH:
        return "..."
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor | ModelPatcher):
        return sampled(value) if isinstance(value, torch.Tensor) else weights_identity(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return outline_of_entries(cast("Any", value), depth + 1)
    weights = outline(getattr(value, "weights", None), depth + 1)
    return [named(value), weights, outline(made_of(value), depth + 1)]


def outline_of_entries(
    entries: Mapping[Any, Any] | list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any], depth: int
) -> Any:
    """A collection's values as ones that have a fingerprint; without the pack's own in a mapping."""
    if isinstance(entries, Mapping):
        return {str(key): outline(entry, depth) for key, entry in entries.items() if key != KEY}
    outlined = [outline(entry, depth) for entry in entries]
    return sorted(map(str, outlined)) if isinstance(entries, set | frozenset) else outlined


def made_of(value: Any) -> dict[str, Any]:
    """What a function or an object was made with, as far as a run leaves it alone."""
    if isinstance(value, partial):
        made = cast("partial[Any]", value)
        return {"function": made.func, "arguments": made.args, "keywords": made.keywords}
    if isinstance(value, MethodType):
        return {"function": value.__func__, "object": value.__self__}
    if isinstance(value, FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        enclosed = {name: cell.cell_contents for name, cell in cells if filled(cell)}
        # A dict or a list in a closure is where functions keep what they remember.
        kept = {name: one for name, one in enclosed.items() if not isinstance(one, dict | list)}
        return {**kept, "defaults": value.__defaults__, "keyword_defaults": value.__kwdefaults__}
    if isinstance(value, type | nn.Module) or not hasattr(value, "__dict__"):
        return {}
    held = vars(value)
    return {name: held[name] for name in parameters_of(type(value)) if name in held}


def filled(cell: CellType) -> bool:
    """Whether an enclosed variable has a value."""
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def parameters_of(kind: type) -> tuple[str, ...]:
    """What a class takes to make an object."""
    try:
        return tuple(signature(kind).parameters)
    except (TypeError, ValueError):  # a class of an extension module does not say
        return ()


def named(value: Any) -> str:
    """The name of a function, or of an object's class."""
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def vae_identity(vae: Any) -> str:
    """The fingerprint of a VAE."""
    return fingerprint(weights_identity(vae.patcher), str(vae.vae_dtype))


def clip_vision_identity(see: Callable[[torch.Tensor], Any]) -> str:
    """The fingerprint of what CLIP sees: the fixed picture, or the model that looks at each window's."""
    if isinstance(see, PerWindowClipVision):
        return weights_identity(see.clip_vision.patcher)
    assert isinstance(see, FixedClipVision)
    return fingerprint(None if see.seen is None else vars(see.seen))
