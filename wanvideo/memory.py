"""How much memory an evaluation of the transformer needs beside the weights.

A block needs the most in its feed-forward: its input and its tokens, the normed tokens, and the hidden layer
before and after its activation; a feed-forward that holds on to the former while its last layer writes takes
that layer's result besides, and its weight, where that is cast. Beside these stand the rotations, the latents
and what the voices bring.
Weights of another precision are cast one layer at a time and freed before that point; attention, its heads
rotated in float32, stays below it, also where ranks exchange tokens for heads in it.

A compiled block writes the activation over the hidden layer, and keeps its tokens as the two parts of their
sum, which it adds up where they are used; read from the code that torch 2.11 generates.
"""

from dataclasses import dataclass

from .geometry import PATCH_HW

TOKEN_COPIES = 3
"""Copies of the tokens alive in the feed-forward: the block's input, its residual stream, the normed one."""

HIDDEN_COPIES = 2
"""The hidden layer before and after its activation."""

COMPILED_TOKEN_COPIES = 3
"""As TOKEN_COPIES in a compiled block, without the normed tokens or the feed-forward's result: its input and
the two parts of its residual stream."""

FLOAT32_BYTES = 4

ROTATION_VALUES = 6
"""Float32 values a pair of channels: the host's 2 x 2 matrix, and its first column, which is all it takes."""

CONTEXT_TOKENS = 512 + 257
"""Of the text and of the CLIP picture."""

CONTEXT_COPIES = 4
"""Copies of these of the blocks' width: as they come, embedded, and a layer's keys and values."""

LATENT_COPIES = 8
"""Float32 copies of the noisy latents that a sampler, its guider and the progress keep: measured."""

WORKSPACE_BYTES = 128 * 1024**2
"""What the libraries of matrix products and attention keep for themselves, and rounding of the allocator."""

EXCHANGE_BYTES = 512 * 1024**2
"""Kept free for what ranks exchange through, NCCL's buffers, which torch does not count. An allowance, not
yet measured: bench/parallel.py tells what they take."""


@dataclass(frozen=True, slots=True)
class ForwardSize:
    """What the memory of an evaluation depends on.

    Attributes:
        tokens: of the video, of all frames.
        dim: channels of a token.
        ffn_dim: channels of the hidden layer.
        head_dim: channels of an attention head.
        in_channels: of the latents with mask and picture.
        latent_channels: of the latents alone.
        value_bytes: of the precision that is computed in.
        weight_bytes: of the precision that the weights are held in.
        voices: tracks that are heard.
        audio_values: values of a voice's features in a window.
        cached_branches: branches whose last contribution a step cache keeps; 0 without one.
        compiled: the blocks are compiled.
        hidden_is_held: uncompiled, the feed-forward holds the hidden layer until its last layer is done.
        casts_weights: weights are cast to the precision that is computed in.
        ranks: processes that make the evaluation together, each with its share of the tokens.
    """

    tokens: int
    dim: int
    ffn_dim: int
    head_dim: int
    in_channels: int
    latent_channels: int
    value_bytes: int
    weight_bytes: int
    voices: int = 1
    audio_values: int = 0
    cached_branches: int = 0
    compiled: bool = False
    hidden_is_held: bool = False
    casts_weights: bool = False
    ranks: int = 1


def forward_bytes(size: ForwardSize, batch: int = 1) -> int:
    """Bytes that an evaluation of `batch` windows needs at its peak, weights not counted."""
    width = block_width(size) + size.dim * cached_copies(size)
    patch = PATCH_HW * PATCH_HW
    latents = patch * (
        2 * size.in_channels * size.value_bytes + LATENT_COPIES * size.latent_channels * FLOAT32_BYTES
    )
    pair_values = size.head_dim // 2 * FLOAT32_BYTES
    turns = 2 * (size.voices > 1) + 2 * (size.ranks > 1)  # of the audio's queries; the rank's own, copied
    audio = size.voices * size.audio_values * (FLOAT32_BYTES + size.value_bytes)
    context = CONTEXT_TOKENS * CONTEXT_COPIES * size.dim * size.value_bytes
    # The host makes latents and rotations of all tokens on every rank; blocks hold a share.
    of_all = size.tokens * (latents + pair_values * ROTATION_VALUES)
    share = -(-size.tokens // size.ranks) * (width * size.value_bytes + pair_values * turns)
    beside = cast_bytes(size) + WORKSPACE_BYTES + (EXCHANGE_BYTES if size.ranks > 1 else 0)
    return batch * (of_all + share + audio + context) + beside


def cast_bytes(size: ForwardSize) -> int:
    """What a cast weight takes at the peak: that of the feed-forward's last layer, if the peak lies there."""
    at_its_last_layer = size.hidden_is_held and not size.compiled
    return size.dim * size.ffn_dim * size.value_bytes if at_its_last_layer and size.casts_weights else 0


def block_width(size: ForwardSize) -> int:
    """Values a token that a block holds at its peak."""
    if not size.compiled:
        return size.dim * (TOKEN_COPIES + size.hidden_is_held) + HIDDEN_COPIES * size.ffn_dim
    in_product = size.dim * (COMPILED_TOKEN_COPIES + 1) + size.ffn_dim
    if size.weight_bytes >= size.value_bytes:
        return in_product
    # Before an fp8 product the activation is written beside the hidden layer, in the weights' precision.
    quantised = size.ffn_dim * size.weight_bytes // size.value_bytes
    return max(in_product, size.dim * COMPILED_TOKEN_COPIES + size.ffn_dim + quantised)


def cached_copies(size: ForwardSize) -> int:
    """Copies of the tokens that a step cache adds: each branch's, and the tokens before the blocks."""
    return size.cached_branches + 1 if size.cached_branches else 0
