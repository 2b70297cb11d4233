"""In what precision a weight lies on the GPU, where that is not the precision of its file.

With dynamic VRAM on (0.12.0 and later), the host's linear layers take weights as the file stores them and
cast each as it comes to the GPU. Their modules note the precision that was asked for.
"""

import torch
from torch import nn

NOTE = "_comfy_model_dtype"
"""Ends the name under which a module of the host notes in what precision a weight is to be held."""


def note_precision(module: nn.Module) -> None:
    """Have each weight held as it is: a layer whose bias is fp16 beside an fp8 matrix keeps both."""
    for one in module.modules():
        for name, weight in one.named_parameters(recurse=False):
            setattr(one, name + NOTE, weight.dtype)


def settle_precision(module: nn.Module) -> None:
    """Bring weights into the precision that their modules note for them.

    A holder that dynamic VRAM leaves alone never casts: fp16 weights asked for in fp8 would stay fp16.
    """
    for one in module.modules():
        for name, weight in one.named_parameters(recurse=False):
            wanted = getattr(one, name + NOTE, None)
            if wanted is not None and weight.dtype is not wanted and type(weight) is nn.Parameter:
                setattr(one, name, nn.Parameter(weight.data.to(wanted), requires_grad=False))


def precision_of(module: nn.Module, name: str = "weight") -> torch.dtype:
    """In what precision a layer's weight is held on the GPU, whatever the file stores.

    Of the host's quantised weights, that of their packed values.
    """
    weight: torch.Tensor = getattr(module, name)
    weight = getattr(weight, "_qdata", weight)
    noted: torch.dtype | None = getattr(module, name + NOTE, None)
    return weight.dtype if noted is None or type(weight) is not nn.Parameter else noted


def held_bytes(module: nn.Module) -> int:
    """What a module's weights take on the GPU when all are there."""
    return sum(
        weight.numel() * precision_of(one, name).itemsize
        for one in module.modules()
        for name, weight in one.named_parameters(recurse=False)
    )
