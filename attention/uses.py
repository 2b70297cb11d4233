"""The two uses of attention in the model: a kernel may be right for one and wrong for the other.

Self-attention has thousands of keys; the text has 512, the CLIP picture 257, the voices 32 each in a frame,
and the speaker map those of one frame. A kernel that counts the padding of its last block of keys is wrong by
a third at 32 keys and by nothing that matters at thousands.
Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

from functools import cache

import torch

from .protocol import Attention

LONG_KEYS = 4096
"""Keys from which on an attention is taken for a long one. Padding of up to 63 keys is then 1.5 % of them."""


@cache
def by_length(long: Attention, short: Attention) -> Attention:
    """`long` for attentions to `LONG_KEYS` keys or more, `short` for all others.

    The same two give the same object, so that a compiled block stays compiled in the next run.
    """

    def attention(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        run = long if k_BKHD.shape[1] >= LONG_KEYS else short
        return run(q_BQHD, k_BKHD, v_BKHD)

    return attention
