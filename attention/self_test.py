"""A backend's result beside PyTorch's on two small tensors, before it may touch a video.

Kernels have returned NaN (a black video), or garbage on a GPU that they were not built for, with no error.

The error is |out - reference| / |reference| (Frobenius) against float32 attention of the same rounded inputs,
normal random numbers with mean 0 and variance 1. What good kernels give there: bfloat16 0.2 %; 8-bit 1.4 %
(SageAttention 1.0.6, measured) to 3.9 % (2.2, measured); FP4 19 % (its rounding simulated on a CPU, not yet
measured on a GPU). What a fault gives: the last eighth of the keys ignored 38 %, no softmax scale 290 % and
more, a transposed layout 140 %. Each tolerance lies between good and faulty: 1 %, 8 %, 30 %.

Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import torch

from . import sdpa
from .backend import first_line
from .choice import AttentionSpec
from .protocol import Attention
from .uses import LONG_KEYS

EXACT_TOLERANCE = 0.01
EIGHT_BIT_TOLERANCE = 0.08
FOUR_BIT_TOLERANCE = 0.30

# (B, Q, K, H): all differ, so that no swap of axes passes; neither length fills blocks of 64 or 128, so that
# the padding is tested too. Few keys as the text and the audio have them (many frames with 32 keys each);
# many as self-attention has.
FEW_KEYS = ((2, 390, 520, 3), (5, 130, 32, 4))
MANY_KEYS = ((2, 130, LONG_KEYS + 37, 3),)
_SEED = 20_250_525


def failure(
    attention: Attention, spec: AttentionSpec, tolerance: float, shapes: tuple[tuple[int, int, int, int], ...]
) -> str | None:
    """Why `attention` is not fit for such `shapes` at `spec`, as the end of a sentence, or None if it is."""
    for b, q, k, h in shapes:
        generator = torch.Generator().manual_seed(_SEED)
        q_BQHD, k_BKHD, v_BKHD = (
            torch.randn(b, length, h, spec.head_dim, generator=generator).to(spec.device, spec.dtype)
            for length in (q, k, k)
        )
        # A kernel may raise anything; on CUDA it may do so only when its result is read, in `_difference`.
        try:
            reason = _difference(attention, (q_BQHD, k_BKHD, v_BKHD), tolerance)
        except Exception as error:  # noqa: BLE001
            return f"its self-test raised {first_line(error)}"
        if reason is not None:
            return f"its self-test failed: {reason}"
    return None


def relative_error(out: torch.Tensor, reference: torch.Tensor) -> float:
    """|out - reference| / |reference| over all elements, in float32."""
    difference = torch.linalg.vector_norm(out.float() - reference.float())
    return (difference / torch.linalg.vector_norm(reference.float())).item()


def _difference(
    attention: Attention, qkv: tuple[torch.Tensor, torch.Tensor, torch.Tensor], tolerance: float
) -> str | None:
    q_BQHD, k_BKHD, v_BKHD = qkv
    before = tuple(x.clone() for x in qkv)
    out_BQHD = attention(q_BQHD, k_BKHD, v_BKHD)
    if out_BQHD.shape != q_BQHD.shape or out_BQHD.dtype != q_BQHD.dtype:
        return (
            f"it returned {tuple(out_BQHD.shape)} {out_BQHD.dtype} for {tuple(q_BQHD.shape)} {q_BQHD.dtype}"
        )
    if not torch.isfinite(out_BQHD).all():
        return "its result has NaN or infinite values"
    if not all(torch.equal(x, y) for x, y in zip(qkv, before, strict=True)):
        return "it changed its own inputs"
    error = relative_error(out_BQHD, sdpa.attend(q_BQHD.float(), k_BKHD.float(), v_BKHD.float()))
    if error > tolerance:
        return (
            f"it differs from PyTorch's attention by {error:.1%}, where up to {tolerance:.0%} is accepted "
            f"(with {k_BKHD.shape[1]} keys)"
        )
    return None
