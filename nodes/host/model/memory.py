"""Tells the host's memory manager what sampling a window takes, so that it keeps exactly that much free.

The host guesses from the latents' area alone and does not know the audio branch; its guess for Wan 2.1 is
twice what a window takes, and on small cards the other half is better filled with weights.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import torch
from comfy.model_management import dtype_size
from comfy.model_patcher import ModelPatcher

from ....attention.protocol import Attention
from ....multitalk.windows.loop import WindowVoices
from ....wanvideo.geometry import LatentShape
from ....wanvideo.memory import ForwardSize, forward_bytes
from ..compat.feed_forward import holds_hidden
from ..compat.precision import computed_in, precision_of
from .lora_patch import patch_bytes
from .patcher import compiles

GIB = 1024**3

ON_THE_WAY_BYTES = 5 * GIB // 2
"""Beside the activations, where weights come from RAM as they are used: the ones on the way, in the host's
own streams, and what allocations of several streams leave unused between them. On an H100 made to seem a card
of 16 or 12 GiB, windows ran out of memory with 1.5 GiB and did not with 2.5."""

LEFT_BETWEEN_BYTES = GIB
"""What is left unused between allocations where all weights lie on the GPU: not all that is reported as free
can be had, and a card that they just fill ran out of memory in its first window."""


SPARSE_COPIES = 8
"""Of a query: what the heads of one kind are gathered into, their results, and the kernel's 8-bit copies."""


def forward_size(
    model: ModelPatcher,
    latents_BCTHW: torch.Tensor,
    voices: WindowVoices,
    attention: Attention | None,
    cached_branches: int,
    ranks: int = 1,
) -> ForwardSize:
    """What the memory of one evaluation of a talking MODEL depends on; `attention` as in TalkCall.

    `ranks` GPUs make it together.
    """
    tree = model.model.diffusion_model
    held = precision_of(tree.blocks[0].ffn[0])
    computed = computed_in(model)
    return ForwardSize(
        tokens=LatentShape(*latents_BCTHW.shape[2:]).tokens,
        dim=tree.dim,
        ffn_dim=tree.blocks[0].ffn[0].out_features,
        head_dim=tree.dim // tree.num_heads,
        in_channels=tree.in_dim,
        latent_channels=latents_BCTHW.shape[1],
        value_bytes=dtype_size(computed),
        weight_bytes=dtype_size(held),
        voices=len(voices.audio_SFKLC),
        audio_values=voices.audio_SFKLC[0].numel(),
        cached_branches=cached_branches,
        compiled=compiles(model, attention),
        hidden_is_held=holds_hidden(type(tree.blocks[0].ffn)),
        casts_weights=held != computed,
        ranks=ranks,
    )


def sparse_bytes(size: ForwardSize) -> int:
    """What sparse self-attention takes beside an evaluation, of such a size."""
    return SPARSE_COPIES * size.tokens * size.dim * size.value_bytes


def weights_bytes(model: ModelPatcher) -> int:
    """Of a talking MODEL's weights for its GPU, its audio weights among them, wherever they lie now."""
    others = [one for one in model.get_nested_additional_models() if one.load_device == model.load_device]
    return sum(one.model_size() for one in (model, *others))


def fits_whole(model: ModelPatcher, needed: int) -> bool:
    """Whether all weights can lie on the device beside what is needed, with something to spare."""
    host, device = comfy.model_management, model.load_device
    if torch.device(device).type == "cpu":
        return True
    # What is loaded, theirs or other models', is theirs to take.
    loaded = sum(one.model_loaded_memory() for one in host.current_loaded_models if one.device == device)
    wanted = weights_bytes(model) + needed + LEFT_BETWEEN_BYTES + host.extra_reserved_memory()
    return wanted <= host.get_free_memory(device) + loaded


@contextmanager
def declared_memory(model: ModelPatcher, size: ForwardSize, reserve_gb: float) -> Generator[int]:
    """While it lasts, the host reckons with what one evaluation takes, however it asks, and the reserve.

    Gives the bytes.

    The host asks its model object, which all clones of a MODEL share, so its own answer is put back after.
    """
    own = vars(model.model)
    before = own.get("memory_required")
    needed = forward_bytes(size) + patch_bytes(model) + int(reserve_gb * GIB)
    if not fits_whole(model, needed):
        needed += ON_THE_WAY_BYTES
        # What the VAE has left in pieces counts as free, but a large tensor finds no room in it.
        comfy.model_management.soft_empty_cache()

    def memory_required(input_shape: Any, cond_shapes: Any = None) -> int:
        del input_shape, cond_shapes  # branches are evaluated one at a time
        return needed

    model.model.memory_required = memory_required
    try:
        yield needed
    finally:
        if before is None:
            del model.model.memory_required
        else:
            model.model.memory_required = before
