"""The class that holds a model for the host's memory manager, and how the host loads such a model again.

ComfyUI 0.3.75 has ModelPatcher alone. Later releases (0.33 for one) have CoreModelPatcher, which dynamic VRAM
replaces when the server starts: weights then come to the GPU at use, and a model may be loaded again, for
another GPU or to be held without that.
"""

import inspect
from collections.abc import Callable
from typing import Any

import comfy
import comfy.model_patcher
import comfy.sd
import torch
from comfy.model_patcher import ModelPatcher

DISABLE_DYNAMIC = "disable_dynamic"
"""What the host's loaders are told for a model that dynamic VRAM must leave alone."""


def new_patcher(
    model: torch.nn.Module, device: torch.device, offload_device: torch.device, *, dynamic: bool = True
) -> ModelPatcher:
    """The host's holder of `model`; without `dynamic` a plain one, whatever the server was started with."""
    # Looked up at each call: the server puts another class there once it knows the GPU.
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", ModelPatcher) if dynamic else ModelPatcher
    return kind(model, load_device=device, offload_device=offload_device)


def is_dynamic(patcher: ModelPatcher) -> bool:
    """Whether the host brings this model's weights to the GPU at use."""
    asked: Callable[[], bool] | None = getattr(patcher, "is_dynamic", None)
    return asked is not None and asked()


def has_dynamic_vram() -> bool:
    """Whether this server brings weights to the GPU at use."""
    # The module is there from 0.12.0 on; main.py sets the mark when it has found a GPU that can.
    return bool(getattr(getattr(comfy, "memory_management", None), "aimdo_enabled", False))


def own_weights(patcher: ModelPatcher, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights that `patcher` may hold as they are.

    With dynamic VRAM the host reads a file as views of its own mapping, from which the GPU is filled at use;
    a plain holder gets copies, as the host's own models do.
    """
    if is_dynamic(patcher) or not has_dynamic_vram():
        return state
    return {name: value.clone() for name, value in state.items()}


def load_options(*, dynamic: bool) -> dict[str, Any]:
    """What to tell the host's loader of diffusion models, by name; nothing where it knows no dynamic VRAM."""
    known = inspect.signature(comfy.sd.load_diffusion_model).parameters
    return {} if dynamic or DISABLE_DYNAMIC not in known else {DISABLE_DYNAMIC: True}


def can_be_loaded_again(patcher: Any, factory: Callable[..., ModelPatcher], *args: object) -> None:
    """Say how the host gets a fresh copy of the model: `factory(*args)`, perhaps with `disable_dynamic`."""
    if hasattr(patcher, "cached_patcher_init"):
        patcher.cached_patcher_init = (factory, args)


def loaded_again_by(patcher: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """The factory and its arguments by which the host gets a fresh copy; None where it was not told."""
    told: Any = getattr(patcher, "cached_patcher_init", None)
    return None if told is None else (told[0], tuple(told[1]))
