"""In what precision a MODEL computes: as its user chose, or in the half precision that this GPU is faster in.

For Wan files in fp16 and fp8 the host computes in float16, the first of its list; bfloat16 is what the
weights were trained in, and all kernels of attention take it.
"""

from functools import cache

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher

from ....attention.backend import first_line
from ....attention.half_precisions import HALVES, measure_halves
from ....attention.plain_text import name_of_dtype
from ....attention.registry import COMFY
from ..compat.precision import compute_in, computed_in, is_chosen_by_node
from .backend import has_own_attention
from .rowwise_fp8 import RowwiseFp8, multiplies_in_fp8

Notes = tuple[str, ...]
AUTO = "auto"
PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
CHOICES = (AUTO, *PRECISIONS)


def in_precision(model: ModelPatcher, asked: str, attention_mode: str) -> tuple[ModelPatcher, Notes, Notes]:
    """The MODEL, or a clone that computes in another precision; a note on why, and what that costs.

    Args:
        model: as loaded.
        asked: one of CHOICES.
        attention_mode: name of the attention backend.
    """
    own = computed_in(model)
    if asked == AUTO:
        wanted, notes = fastest(model, own, attention_mode)
    else:
        wanted = PRECISIONS[asked]
        notes = (f"compute {asked}: as chosen; ComfyUI's own choice was {name_of_dtype(own)}",)
    warnings = costs(model, wanted)
    if asked != AUTO and wanted is not own and is_chosen_by_node(model):
        ours, theirs = name_of_dtype(wanted), name_of_dtype(own)
        note = f"compute {ours}: used instead of {theirs}, which a node put on the MODEL"
        warnings = (*warnings, note)
    return (model if wanted is own else compute_in(model, wanted)), notes, warnings


def costs(model: ModelPatcher, wanted: torch.dtype) -> Notes:
    """What a precision takes away from a MODEL."""
    layer = model.model.diffusion_model.blocks[0].self_attn.q
    if not isinstance(layer, RowwiseFp8.Linear) or not layer.multiplies or wanted is torch.bfloat16:
        return ()
    note = (
        f"compute {name_of_dtype(wanted)}: fp8_rowwise multiplies in fp8 only where bfloat16 is computed in; "
        "weights are cast at each use, which takes longer. Choose bfloat16 or auto"
    )
    return (note,)


def fastest(model: ModelPatcher, own: torch.dtype, attention_mode: str) -> tuple[torch.dtype, Notes]:
    """The precision for `auto` and why; without a note where there was nothing to choose between."""
    host, device = comfy.model_management, torch.device(model.load_device)
    has_both = device.type == "cuda" and host.should_use_bf16(device) and host.should_use_fp16(device)
    tree, name = model.model.diffusion_model, name_of_dtype(own)
    layer = tree.blocks[0].self_attn.q
    # Row-scaled products want bfloat16, which their model was loaded for.
    if not has_both or own not in HALVES or isinstance(layer, RowwiseFp8.Linear):
        return own, ()
    if own is torch.bfloat16 and layer.weight.dtype is torch.bfloat16:
        note = "compute auto: bfloat16, as the weights are held: float16 has not its range"
        return own, (note,)
    if is_chosen_by_node(model):
        note = f"compute auto: {name}, as a node put on the MODEL"
        return own, (note,)
    if attention_mode == COMFY or has_own_attention(model):
        note = f"compute auto: {name}, ComfyUI's choice, since its own attention runs"
        return own, (note,)
    head_dim = tree.dim // tree.num_heads
    # A kernel may refuse anything, or find no memory on a full GPU: then there is nothing to compare.
    try:
        return measured(attention_mode, device, tree.dim, head_dim, not multiplies_in_fp8(layer))
    except (RuntimeError, ValueError, NotImplementedError) as error:
        note = (
            f"compute auto: {name}, ComfyUI's choice, since the GPU could not be timed: {first_line(error)}"
        )
        return own, (note,)


@cache
def measured(
    attention_mode: str, device: torch.device, channels: int, head_dim: int, products: bool
) -> tuple[torch.dtype, Notes]:
    """The faster half precision of a GPU and what was measured, once a process."""
    best, other = measure_halves(attention_mode, device, channels, head_dim, products=products)
    note = f"compute auto: {name_of_dtype(best.dtype)}, the faster one here; a block takes {best}, {other}"
    return best.dtype, (note,)
