"""What the forward needs of a Wan 2.1 module tree, whoever built it.

ComfyUI's own tree satisfies these protocols, with whatever operations its loader put there (fp8, GGUF, LoRA,
offload); so does a small tree of plain torch modules. A module is called, never looked into; the only bare
parameters are the modulations. All of it is only read.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch


class Module(Protocol):
    """A layer of one input."""

    def __call__(self, x: torch.Tensor, /) -> torch.Tensor: ...


class WanSelfAttention(Protocol):
    """Projections and RMS norms of a self-attention."""

    q: Module
    k: Module
    v: Module
    o: Module
    norm_q: Module
    norm_k: Module


class WanCrossAttention(WanSelfAttention, Protocol):
    """Projections and norms of the cross-attention to text and to the CLIP picture."""

    k_img: Module
    v_img: Module
    norm_k_img: Module


class WanBlock(Protocol):
    """One transformer block; `modulation` is (1, 6, channels)."""

    norm1: Module
    self_attn: WanSelfAttention
    norm3: Module
    cross_attn: WanCrossAttention
    norm2: Module
    ffn: Module
    modulation: torch.Tensor


class WanHead(Protocol):
    """The last norm and projection; `modulation` is (1, 2, channels)."""

    norm: Module
    head: Module
    modulation: torch.Tensor


class WanTree(Protocol):
    """A whole Wan 2.1 image-to-video transformer."""

    freq_dim: int
    num_heads: int
    patch_embedding: Module
    text_embedding: Module
    time_embedding: Module
    time_projection: Module
    img_emb: Module
    blocks: Sequence[WanBlock]
    head: WanHead


class BlockHook(Protocol):
    """What another model adds to one block, after the cross-attention to text and picture."""

    def observe_qk(self, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor) -> Any:
        """See the self-attention's rotated queries and keys; what it returns is handed to `apply`."""
        ...

    def apply(self, x_BLC: torch.Tensor, routing: Any) -> torch.Tensor:
        """Return x_BLC with the hook's contribution added."""
        ...


class HookOfBlock(Protocol):
    """Gives each block's hook."""

    def __call__(self, block_index: int, /) -> BlockHook: ...
