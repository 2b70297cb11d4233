"""In what precision a weight lies on the GPU, where that is not that of its file, and a MODEL computes.

With dynamic VRAM on (0.12.0 and later), the host's linear layers take weights as the file stores them and
cast each as it comes to the GPU. Their modules note the precision that was asked for.
"""

from typing import Any
from uuid import uuid4

import torch
from comfy.model_patcher import ModelPatcher
from torch import nn

COMPUTED = "manual_cast_dtype"
"""What the host's model object brings its inputs to; None where that is the precision of its weights."""

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


def computed_in(model: ModelPatcher) -> torch.dtype:
    """In what precision a MODEL computes, loaded or not: what nodes put on it counts."""
    chosen: Any = model.get_model_object(COMPUTED)
    return chosen or model.model.get_dtype()


def is_chosen_by_node(model: ModelPatcher) -> bool:
    """Whether a node of the graph chose in what precision a MODEL computes."""
    return model.object_patches.get(COMPUTED) is not None


def compute_in(model: ModelPatcher, dtype: torch.dtype) -> ModelPatcher:
    """A clone that computes in another precision; its weights stay as they are, and are cast at use.

    As the host's own `set_model_compute_dtype`, but layers that cast by themselves are left alone: told to
    cast, those of quantised weights would do without their fast products (0.33.0).
    """
    patched = model.clone()
    patched.add_object_patch(COMPUTED, dtype)
    patched.patches_uuid = uuid4()
    layer = patched.model.diffusion_model.blocks[0].self_attn.q
    casts = getattr(layer, "prev_comfy_cast_weights", layer.comfy_cast_weights)
    if not casts and precision_of(layer) in (torch.float16, torch.bfloat16, torch.float32):
        patched.force_cast_weights = True
    return patched
