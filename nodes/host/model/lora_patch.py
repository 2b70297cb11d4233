"""LoRA on offloaded weights at the price of one matrix product a layer.

A weight that stays in RAM is patched again each time it comes to the GPU. The host then brings the LoRA's
matrices after it from pageable memory, which waits for the GPU, makes their product, scales, rounds and adds
it. Here the matrices lie on the GPU already, and one fused product adds them. Weights that lie on the GPU
anyway are patched once, by the host.

Shape letters: O a layer's outputs, I its inputs, R rank.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from comfy.model_patcher import LowVramPatch, ModelPatcher
from comfy.patcher_extension import CallbacksMP
from comfy.weight_adapter.lora import LoRAAdapter
from torch import nn

from ..compat.rounding import rounded_at_random
from .rowwise_fp8 import RowwiseFp8

KEY = "evertalk_lora"
"""Names the callback that makes a MODEL's patches quick."""

FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)


@dataclass(slots=True)
class LowRank:
    """A LoRA's share of one weight: strength * up @ down."""

    up_OR: torch.Tensor
    down_RI: torch.Tensor
    strength: float


class OffloadedPatch:
    """Stands in for the host's LowVramPatch of one weight.

    Args:
        key: the weight's name; seeds the rounding of fp8 weights.
        low_ranks: what is added to a matrix.
        added: what is added to a bias or to a norm's weight, or None.
    """

    def __init__(self, key: str, low_ranks: list[LowRank], added: torch.Tensor | None) -> None:
        self.key = key
        self.low_ranks = low_ranks
        self.added = added

    def __call__(self, weight: torch.Tensor) -> torch.Tensor:
        """The patched weight; the host hands over a copy of its own."""
        if weight.dtype in FLOAT8:
            return rounded_at_random(self(weight.to(torch.bfloat16)), weight.dtype, self.key)
        for one in self.low_ranks:
            weight = weight.addmm_(one.up_OR.to(weight), one.down_RI.to(weight), alpha=one.strength)
        return weight if self.added is None else weight.add_(self.added.to(weight))

    def move_to(self, device: torch.device) -> int:
        """Bring the matrices to `device`; the bytes they take there. The host calls it when weights move."""
        for one in self.low_ranks:
            one.up_OR, one.down_RI = one.up_OR.to(device), one.down_RI.to(device)
        if self.added is not None:
            self.added = self.added.to(device)
        tensors = [tensor for one in self.low_ranks for tensor in (one.up_OR, one.down_RI)]
        return sum(tensor.nbytes for tensor in (*tensors, *([] if self.added is None else [self.added])))


def quick_patch(patch: LowVramPatch, module: nn.Module) -> OffloadedPatch | None:
    """The host's patch of an offloaded weight as an OffloadedPatch; None where only the host knows how."""
    low_ranks: list[LowRank] = []
    added: torch.Tensor | None = None
    # A scaled weight is multiplied by its scale after the patch: what is added is divided by it before.
    scale = torch.ones(()) if patch.set_func is None else scale_of(module)
    if scale is None:
        return None
    for strength, value, strength_model, offset, function in patch.patches[patch.key]:
        if strength_model != 1.0 or offset is not None or function is not None:
            return None
        low_rank, vector = low_rank_of(value, strength, scale), added_by(value, strength)
        if low_rank is not None:
            low_ranks.append(low_rank)
        elif vector is not None:
            added = vector if added is None else added + vector
        else:
            return None
    return OffloadedPatch(patch.key, low_ranks, added)


def scale_of(module: nn.Module) -> torch.Tensor | None:
    """What a patched weight is multiplied by after the patch; None where only the host knows.

    One number for the scaled fp8 layers of old hosts (0.3.75), one a row, (rows, 1), for the pack's own; the
    quantised weights of newer hosts are taken back to their real values before they are patched.
    """
    if hasattr(module.weight, "dequantize") and hasattr(module.weight, "_qdata"):
        return torch.ones(())
    scale = getattr(module, "scale_weight", None)
    if not isinstance(scale, torch.Tensor):
        return None
    if scale.numel() == 1:
        return scale.flatten()[0]
    return scale if isinstance(module, RowwiseFp8.Linear) else None


def low_rank_of(value: Any, strength: float, scale: torch.Tensor) -> LowRank | None:
    """A plain LoRA of a matrix, divided by the matrix's scale; None for DoRA, LoCon and everything else."""
    if not isinstance(value, LoRAAdapter):
        return None
    up, down, alpha, mid, dora_scale, reshape = cast("tuple[Any, ...]", value.weights)
    if mid is not None or dora_scale is not None or reshape is not None or up.ndim != 2 or down.ndim != 2:
        return None
    strength = strength if alpha is None else strength * float(alpha) / down.shape[0]
    if scale.numel() == 1:
        return LowRank(up, down, strength / float(scale))
    return LowRank((up.float() / scale.to(up.device)).bfloat16(), down, strength)


def added_by(value: Any, strength: float) -> torch.Tensor | None:
    """The vector that a LoRA file adds to a bias or a norm; None for everything else."""
    is_vector = isinstance(value, tuple) and value[0] == "diff" and len(value[1]) == 1
    return strength * value[1][0] if is_vector and value[1][0].ndim == 1 else None


def fuse_offloaded_patches(patcher: ModelPatcher) -> None:
    """Replace the host's patches of offloaded weights where that is possible; called before sampling."""
    for module in patcher.model.modules():
        for name in ("weight_function", "bias_function"):
            functions = getattr(module, name, None)
            if not functions:
                continue
            quick = [quickened(function, module) for function in functions]
            for one in quick:
                if isinstance(one, OffloadedPatch):
                    one.move_to(patcher.load_device)
            setattr(module, name, quick)


def quickened(function: Any, module: nn.Module) -> Any:
    """An OffloadedPatch in place of the host's patch, or the function as it is."""
    if not isinstance(function, LowVramPatch):
        return function
    return quick_patch(function, module) or function


def fuse_before_runs(patcher: ModelPatcher) -> None:
    """Have a MODEL, and all clones made of it, quicken its offloaded patches before it samples."""
    patcher.remove_callbacks_with_key(CallbacksMP.ON_PRE_RUN, KEY)
    patcher.add_callback_with_key(CallbacksMP.ON_PRE_RUN, KEY, fuse_offloaded_patches)


def patch_bytes(patcher: ModelPatcher) -> int:
    """What the patches' matrices take on the GPU, should all patched weights stay in RAM."""
    total = 0
    for patches in patcher.patches.values():
        for _, value, *_ in patches:
            if isinstance(value, LoRAAdapter):
                total += sum(tensor.nbytes for tensor in value.weights[:2])
    return total
