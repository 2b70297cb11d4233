"""What tells a model from another: its weights' shapes and samples, its LoRA, its patches.

Nothing is loaded or moved for it: weights are read where they are, and what the host has patched into them in
place is read from its backup. Of each weight a few hundred values are sampled at even steps: two checkpoints
differ in nearly all of them, and a 14B model takes a second. A weight that was edited by hand in a place that
is not sampled is not told apart.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import signature
from types import CellType, FunctionType, MethodType
from typing import Any, cast

import torch
from comfy.model_patcher import ModelPatcher
from torch import nn

from ....multitalk.common.fingerprint import fingerprint
from ..compat.precision import precision_of
from ..model.patcher import KEY
from ..sampling.clip_vision import FixedClipVision, PerWindowClipVision

SAMPLES = 256
"""Values read of each weight."""

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


def weights_identity(patcher: ModelPatcher) -> str:
    """The fingerprint of a patcher's weights, before any patch."""
    model: nn.Module = patcher.model
    return fingerprint(
        type(model).__name__,
        layer_kinds(model),
        [(name, sampled(tensor)) for name, tensor in unpatched_weights(model, originals_of(patcher))],
    )


def layer_kinds(model: nn.Module) -> list[str]:
    """What the layers are and in what precision they hold their weights on the GPU, each kind once.

    The same file gives the same weights in RAM with fp8 products and without, and under dynamic VRAM in any
    precision.
    """
    return sorted(
        {
            f"{type(layer).__qualname__} {precision_of(layer)}"
            for layer in model.modules()
            if isinstance(getattr(layer, "weight", None), torch.Tensor)
        }
    )


def originals_of(patcher: ModelPatcher) -> dict[str, torch.Tensor]:
    """The weights that the host has changed in place or replaced while the model is in use, as they were."""
    replaced = {name: part for name, part in patcher.object_patches_backup.items() if is_tensor(part)}
    return {**replaced, **{name: kept.weight for name, kept in patcher.backup.items()}}


def is_tensor(part: object) -> bool:
    """Whether a part of a model is a weight, not a layer or function."""
    return isinstance(part, torch.Tensor)


def unpatched_weights(
    model: nn.Module, originals: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Each weight and buffer by name, as it was before any patch."""
    for tensors in (model.named_parameters(), model.named_buffers()):
        for name, tensor in tensors:
            yield name, originals.get(name, tensor)


def part_identity(part: Any) -> Any:
    """What stands in for a part of the model: a weight by its values, all else by name."""
    if isinstance(part, torch.dtype):  # the precision that is computed in
        return str(part)
    return sampled(part) if is_tensor(part) else named(part)


def sampled(tensor: torch.Tensor) -> tuple[str, str, torch.Tensor | None]:
    """A tensor's type, its shape, and some of its values as bytes, read where it is."""
    stored: torch.Tensor = getattr(tensor, "_qdata", tensor)  # the host's quantised weights
    plain = stored.detach().as_subclass(torch.Tensor)  # GGUF loaders hold subclasses
    if plain.is_meta or not plain.numel():
        return str(tensor.dtype), str(tuple(tensor.shape)), None
    # An odd step, so that the samples of a matrix do not all stand in one column.
    values = plain.reshape(-1)[:: plain.numel() // SAMPLES | 1].cpu()
    # The scale stands beside the host's quantised values.
    scale: object = getattr(getattr(tensor, "_params", None), "scale", None)
    if isinstance(scale, torch.Tensor):
        values = torch.cat((values.view(torch.uint8), sampled_scale(scale)))
    return str(tensor.dtype), str(tuple(tensor.shape)), values


def sampled_scale(scale: torch.Tensor) -> torch.Tensor:
    """Some of a scale's values as bytes."""
    values = scale.detach().reshape(-1)[:: scale.numel() // SAMPLES | 1]
    return values.cpu().contiguous().view(torch.uint8)


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
