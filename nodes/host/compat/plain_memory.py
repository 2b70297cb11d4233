"""A MODEL whose weights lie still in memory, as compiled blocks need them.

Dynamic VRAM (0.15.0 and later, on by default on NVIDIA) brings each weight to the GPU at its use, in code
that torch.compile cannot follow: each layer would leave the graph, and windows would take three times as
long. The host compiles its own models on a copy that dynamic VRAM leaves alone, and so does the pack. Where
such a copy does not fit, the host's older management keeps the rest of it in RAM and brings it beforehand.
"""

from comfy.model_patcher import ModelPatcher

from ....multitalk.errors import InputError
from .patchers import is_dynamic
from .precision import settle_precision


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
