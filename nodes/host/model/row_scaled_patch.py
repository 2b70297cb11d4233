"""A LoRA on fp8 weights with a scale a row that are patched each time they come to the GPU.

The host's own patch adds to a weight as it lies in memory. Here that is only half of it: the row's scale is
the other. So the weight is multiplied by its scales, patched, divided by them and rounded again.
"""

from typing import Any

import comfy.lora
import comfy.model_management
import torch
from comfy.model_patcher import LowVramPatch
from torch import nn

from ..compat.rounding import rounded_at_random

FLOAT8 = torch.float8_e4m3fn
GREATEST = 448.0
"""The largest value of e4m3fn."""

DYNAMIC_PATCH = "weight_lowvram_function"


class RowScaledPatch(LowVramPatch):
    """Stands in for the host's patch of one weight; the host's memory management treats it alike.

    Args:
        patch: the host's.
        scale_O1: the scales of the weight's rows, float32.
    """

    def __init__(self, patch: LowVramPatch, scale_O1: torch.Tensor) -> None:
        super().__init__(patch.key, patch.patches)
        # Under dynamic VRAM the host notes on the patch where its pinned memory is.
        vars(self).update({name: value for name, value in vars(patch).items() if name not in vars(self)})
        self.scale_O1 = scale_O1

    def __call__(self, weight: torch.Tensor) -> torch.Tensor:
        """The patched weight under the same scales, in the precision in which it came."""
        scale_O1 = comfy.model_management.cast_to_device(self.scale_O1, weight.device, torch.float32)
        # Dynamic VRAM brings the patch's matrices to the GPU beforehand, beside the weight.
        patches = getattr(self, "prepared_patches", None) or self.patches[self.key]
        patched: torch.Tensor = comfy.lora.calculate_weight(
            patches, weight.float() * scale_O1, self.key, intermediate_dtype=torch.float32
        )
        scaled = (patched / scale_O1).clamp_(-GREATEST, GREATEST)
        if weight.dtype is FLOAT8:
            return rounded_at_random(scaled, FLOAT8, self.key)
        return scaled.to(weight.dtype)


def scale_the_patches(module: nn.Module, scale_O1: torch.Tensor) -> None:
    """Put a RowScaledPatch in place of each patch of the host on a module's weight."""
    functions: list[Any] = getattr(module, "weight_function", [])
    if any(is_of_host(one) for one in functions):
        both = [RowScaledPatch(one, scale_O1) if is_of_host(one) else one for one in functions]
        setattr(module, "weight_function", both)  # noqa: B010  # the host's name, which nn.Module does not know
    # Dynamic VRAM keeps the one patch of a weight here; hosts without it have no such name.
    dynamic: Any = getattr(module, DYNAMIC_PATCH, None)
    if is_of_host(dynamic):
        setattr(module, DYNAMIC_PATCH, RowScaledPatch(dynamic, scale_O1))


def is_of_host(function: Any) -> bool:
    """Whether this is a patch that knows of no scales."""
    return isinstance(function, LowVramPatch) and not isinstance(function, RowScaledPatch)
