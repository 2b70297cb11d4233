"""What the forward needs of a Wan 2.1 module tree, whoever built it.

ComfyUI's own tree satisfies these protocols, with whatever operations its loader put there (fp8, GGUF, LoRA,
offload); so does a small tree of plain torch modules. A module is called, never looked into; the only bare
parameters are the modulations.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch


class Module(Protocol):
    """A layer of one input."""

    def __call__(self, x: torch.Tensor, /) -> torch.Tensor: ...


class WanSelfAttention(Protocol):
    """Projections and RMS norms of a self-attention."""

    @property
    def q(self) -> Module: ...
    @property
    def k(self) -> Module: ...
    @property
    def v(self) -> Module: ...
    @property
    def o(self) -> Module: ...
    @property
    def norm_q(self) -> Module: ...
    @property
    def norm_k(self) -> Module: ...


class WanCrossAttention(WanSelfAttention, Protocol):
    """Projections and norms of the cross-attention to text and to the CLIP picture."""

    @property
    def k_img(self) -> Module: ...
    @property
    def v_img(self) -> Module: ...
    @property
    def norm_k_img(self) -> Module: ...


class WanBlock(Protocol):
    """One transformer block; `modulation` is (1, 6, channels)."""

    @property
    def norm1(self) -> Module: ...
    @property
    def self_attn(self) -> WanSelfAttention: ...
    @property
    def norm3(self) -> Module: ...
    @property
    def cross_attn(self) -> WanCrossAttention: ...
    @property
    def norm2(self) -> Module: ...
    @property
    def ffn(self) -> Module: ...
    @property
    def modulation(self) -> torch.Tensor: ...


class WanHead(Protocol):
    """The last norm and projection; `modulation` is (1, 2, channels)."""

    @property
    def norm(self) -> Module: ...
    @property
    def head(self) -> Module: ...
    @property
    def modulation(self) -> torch.Tensor: ...


class WanTree(Protocol):
    """A whole Wan 2.1 image-to-video transformer."""

    @property
    def freq_dim(self) -> int: ...
    @property
    def num_heads(self) -> int: ...
    @property
    def patch_embedding(self) -> Module: ...
    @property
    def text_embedding(self) -> Module: ...
    @property
    def time_embedding(self) -> Module: ...
    @property
    def time_projection(self) -> Module: ...
    @property
    def img_emb(self) -> Module: ...
    @property
    def blocks(self) -> Sequence[WanBlock]: ...
    @property
    def head(self) -> WanHead: ...


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
