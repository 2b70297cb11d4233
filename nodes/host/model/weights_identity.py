"""What tells weights from others: their shapes and samples of their values.

Nothing is loaded or moved for it: weights are read where they are, and what the host has patched into them in
place is read from its backup. Of each weight a few hundred values are sampled at even steps: two checkpoints
differ in nearly all of them, and a 14B model takes a second. A weight that was edited by hand in a place that
is not sampled is not told apart.
"""

from collections.abc import Iterator, Mapping

import torch
from comfy.model_patcher import ModelPatcher
from torch import nn

from ....multitalk.common.fingerprint import fingerprint
from ..compat.precision import precision_of

SAMPLES = 256
"""Values read of each weight."""


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
