"""What the host's own Wan hands to other nodes' patches and to its attention, read from its code.

Its classes have no list of that, so the names that its functions mention are looked at:
- `attn1_patch` and `attn2_patch` since January 2026 (ComfyUI 0.11), `double_block` patches since July 2026
  (0.29); 0.3.75 knows none of them.
- `low_precision_attention=False` for the attention to the CLIP picture since August 2026 (0.31).
- a layer's `comfy_attention`, the attention that its checkpoint was made for: since autumn 2026 (seen in
  0.38.1).
"""

from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType
from typing import Any

from comfy.ldm.wan.model import WanAttentionBlock, WanI2VCrossAttention, WanModel, WanSelfAttention

ATTENDED, CROSSED, AFTER_BLOCK = "attn1_patch", "attn2_patch", "double_block"
"""Patches after self-attention, after the cross-attention to text and picture, and after a block."""

PATCHES = "patches"
"""The entry of the transformer options that holds them."""


@cache
def honoured_patches() -> frozenset[str]:
    """Which of the patches named above the host's own Wan calls."""
    places: dict[str, Callable[..., Any]] = {
        ATTENDED: WanSelfAttention.forward,
        CROSSED: WanAttentionBlock.forward,
        AFTER_BLOCK: WanModel.forward_orig,
    }
    # A replaced block has `double_block` in its name: it tells of patches only beside the entry of patches.
    return frozenset(name for name, function in places.items() if mentions(function, name, PATCHES))


@cache
def picture_attention_options() -> dict[str, Any]:
    """What the host's own Wan passes to its attention besides, where it attends to the CLIP picture."""
    known = mentions(WanI2VCrossAttention.forward, "low_precision_attention")
    return {"low_precision_attention": False} if known else {}


def preferred_attention_options(layer: object) -> dict[str, Any]:
    """What tells the host's attention which one the layer's checkpoint was made for."""
    preferred = getattr(layer, "comfy_attention", None)
    return {} if preferred is None else {"preferred_attention": preferred}


def preferred_attention_of(layer: object) -> Callable[..., Any] | None:
    """The attention that the layer's checkpoint was made for, where this machine has it."""
    return getattr(getattr(layer, "comfy_attention", None), "function", None)


def mentions(function: Callable[..., Any], *words: str) -> bool:
    """Whether a function's code has all of these words among its strings and argument names."""
    return set(strings(getattr(function, "__code__", None))).issuperset(words)


def strings(value: Any) -> Iterator[str]:
    """The strings in a code object's constants, those of its inner functions and tuples included."""
    if isinstance(value, str):
        yield value
    for one in value if isinstance(value, tuple) else value.co_consts if isinstance(value, CodeType) else ():
        yield from strings(one)
