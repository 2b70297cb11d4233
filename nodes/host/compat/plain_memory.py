"""A MODEL whose weights lie still in memory, as compiled blocks need them.

Dynamic VRAM (0.15.0 and later, on by default on NVIDIA) brings each weight to the GPU at its use, in code
that torch.compile cannot follow: each layer would leave the graph, and windows would take three times as
long. The host compiles its own models on a copy that dynamic VRAM leaves alone, and so does the pack. Where
such a copy does not fit, the host's older management keeps the rest of it in RAM and brings it beforehand.
"""

from typing import Any

import comfy.model_management
from comfy.model_patcher import ModelPatcher

from ....multitalk.common.errors import InputError
from .patchers import has_dynamic_vram, is_dynamic
from .precision import settle_precision

GIB = 1024**3

WORK_BYTES = 8 * GIB
"""Beside the weights: a window's evaluation and the VAE at 480p with what several streams leave unused, or an
evaluation at 720p alone."""


def too_large_to_compile(weights_bytes: int) -> str | None:
    """Why weights of that size are better not compiled here, as a note for the person; None if they may be.

    Compiled blocks take weights from RAM one at a time, without bringing the next ones meanwhile: on a GPU
    with 16 GB free, a window's four steps took 37 s so, and 12 s uncompiled under dynamic VRAM (20 GB of
    weights and a LoRA, NVIDIA H200, ComfyUI 0.33.0). Servers without dynamic VRAM have no such choice.
    """
    if not has_dynamic_vram():
        return None
    ours = memory_for_us()
    if weights_bytes + WORK_BYTES + comfy.model_management.extra_reserved_memory() <= ours:
        return None
    return (
        f"compile_blocks: not used, since {weights_bytes / GIB:.1f} GiB of weights and a window's work do "
        f"not fit together into the {ours / GIB:.1f} GiB of this GPU that ComfyUI can have; uncompiled "
        "blocks under dynamic VRAM are faster then"
    )


def memory_for_us() -> float:
    """What of the GPU's memory is free, or taken by models that make room, in bytes."""
    host = comfy.model_management
    device = host.get_torch_device()
    total: Any = host.get_total_memory(device)
    free: Any = host.get_free_memory(device)
    loaded = sum(one.model_loaded_memory() for one in host.current_loaded_models if one.device == device)
    return min(total, free + loaded)


def in_plain_memory(model: ModelPatcher) -> ModelPatcher:
    """The MODEL itself, or where dynamic VRAM has it a copy with the same patches, loaded once more.

    Raises:
        InputError: the loader did not tell the host how to load the model once more.
    """
    if not is_dynamic(model):
        return model
    if getattr(model, "cached_patcher_init", None) is None:
        raise InputError(
            "model: compile_blocks needs weights that dynamic VRAM leaves alone, and ComfyUI was not told by "
            "this MODEL's loader how to load them so. Switch compile_blocks off, load the model with "
            "ComfyUI's or EverTalk's loader, or start ComfyUI with --disable-dynamic-vram."
        )
    plain: ModelPatcher = model.clone(disable_dynamic=True)  # type: ignore[call-arg]
    settle_precision(plain.model)
    return plain
