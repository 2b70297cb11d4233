"""The forward pass of Wan 2.1 image-to-video as pure functions over a module tree.

Shape letters: B batch, L video tokens, M context tokens, H heads, D head dimension, C channels, N modulation
rows; video tensors are BCTHW. Where several processes make one evaluation, L are the tokens of a rank's
share, and in self-attention all tokens in some of the heads. Source: Wan 2.1 (Wan-Video/Wan2.1,
wan/modules/model.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from einops import rearrange

from ..attention.protocol import Attention
from .blocks import NO_HOST, BlockContext, HostSide
from .compiling import stored
from .geometry import PATCH_HW
from .protocols import BlockHook, HookOfBlock, WanBlock, WanCrossAttention, WanHead, WanSelfAttention, WanTree
from .ranks import Ranks, TokenSplit, check_size
from .rope import Rotation, rotate, rotation_share

TIME_PERIOD = 10000.0


@dataclass(frozen=True, slots=True)
class WanInputs:
    """One evaluation's inputs.

    Attributes:
        x_BCTHW: noisy latents, mask and picture latents on the channel axis (36 channels).
        timestep_B: 0..1000.
        text_BMC: text embedding, padded to its full length by whoever made it (the pad takes part).
        clip_BMC: CLIP picture embedding, or None: the picture cross-attention is left out.
        rotation: of the token grid.
    """

    x_BCTHW: torch.Tensor
    timestep_B: torch.Tensor
    text_BMC: torch.Tensor
    clip_BMC: torch.Tensor | None
    rotation: Rotation


ComputeBlock = Callable[[WanBlock, BlockHook | None, BlockContext, torch.Tensor], torch.Tensor]
"""(block, hook, context, x_BLC) -> x_BLC: block_forward, or a compiled form of it."""


RunStack = Callable[[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], torch.Tensor], torch.Tensor]
"""(modulation_BNC, run, x_BLC) -> x_BLC: how all blocks together are run; `run` is all blocks."""


def wan_forward(
    tree: WanTree,
    inputs: WanInputs,
    attention: Attention,
    hook_of: HookOfBlock | None = None,
    host: HostSide = NO_HOST,
    compute: ComputeBlock | None = None,
    run_stack: RunStack | None = None,
    ranks: Ranks | None = None,
) -> torch.Tensor:
    """Predict noise minus data, (batch, 16, frames, height, width), for one timestep.

    With ranks, each of these processes calls this with the same inputs and gets the same result. Blocks,
    hooks and `run_stack` then see this rank's share of the tokens, a hook's `observe_qk` all tokens of this
    rank's heads; a host may change no tokens inside of blocks or after them.

    Args:
        tree: the modules.
        inputs: of this evaluation.
        attention: the attention backend.
        hook_of: what another model adds to each block.
        host: what a host has a say in.
        compute: the block's arithmetic, block_forward unless given.
        run_stack: how all blocks together are run; as they are, unless a step cache leaves them out.
        ranks: the processes that make this evaluation together; None: this one alone.

    Raises:
        RankCountError: so many ranks cannot share the heads evenly.
    """
    split = split_of(tree, inputs.x_BCTHW, ranks)
    time_BC, modulation_BNC = embed_time(tree, inputs.timestep_B, inputs.x_BCTHW.dtype)
    context = BlockContext(
        modulation_BNC=modulation_BNC,
        text_BMC=tree.text_embedding(inputs.text_BMC),
        clip_BMC=None if inputs.clip_BMC is None else tree.img_emb(inputs.clip_BMC),
        rotation=inputs.rotation if split is None else rotation_share(inputs.rotation, split),
        num_heads=tree.num_heads,
        attention=attention,
        inside=host.inside,
        split=split,
    )

    def run_blocks(x_BLC: torch.Tensor) -> torch.Tensor:
        for index, block in enumerate(tree.blocks):
            hook = None if hook_of is None else hook_of(index)
            run = partial(compute or block_forward, block, hook)
            if host.run_block is None:
                x_BLC = run(context, x_BLC)
            else:
                x_BLC = host.run_block(index, context, x_BLC, run)
        return x_BLC

    stack = run_blocks if run_stack is None else partial(run_stack, modulation_BNC, run_blocks)
    # The embedded tokens have no name here: one would keep them in memory through all blocks.
    after_BLC = stack(embed_share(tree, inputs.x_BCTHW, split))
    patches_BLC = project_out(tree.head, after_BLC, time_BC)
    if split is not None:
        patches_BLC = split.whole(patches_BLC)
    return unpatchify(patches_BLC, token_grid(inputs.x_BCTHW))


def split_of(tree: WanTree, x_BCTHW: torch.Tensor, ranks: Ranks | None) -> TokenSplit | None:
    """This rank's share of the tokens of such latents; None for one process.

    Raises:
        RankCountError: so many ranks cannot share the heads evenly.
    """
    if ranks is None or ranks.size == 1:
        return None
    check_size(tree.num_heads, ranks.size)
    return TokenSplit(ranks, prod(token_grid(x_BCTHW)))


def embed_share(tree: WanTree, x_BCTHW: torch.Tensor, split: TokenSplit | None) -> torch.Tensor:
    """The tokens that this process computes: all of them, or its share, of the frames around it."""
    if split is None:
        return embed_latents(tree, x_BCTHW)
    span = split.frames_around(x_BCTHW.shape[2])
    x_BLC = split.out_of_frames(embed_latents(tree, x_BCTHW[:, :, span.first : span.end]), span)
    # Without the strides of the whole frames, for which blocks would be compiled a second time.
    return x_BLC.clone(memory_format=torch.contiguous_format)


def embed_latents(tree: WanTree, x_BCTHW: torch.Tensor) -> torch.Tensor:
    """Tokens (batch, tokens, channels) of the latents."""
    # The host keeps the patch convolution in float32: its input must be too.
    patches_BCTHW = tree.patch_embedding(x_BCTHW.float()).to(x_BCTHW.dtype)
    # Contiguous: sums with the tokens keep the tokens' layout, so that all blocks would read and write across
    # their memory.
    return patches_BCTHW.flatten(2).transpose(1, 2).contiguous()


def token_grid(x_BCTHW: torch.Tensor) -> tuple[int, int, int]:
    """Frames, rows and columns of the tokens of such latents."""
    frames, rows, columns = x_BCTHW.shape[2:]
    return frames, rows // PATCH_HW, columns // PATCH_HW


def sinusoid(timestep_B: torch.Tensor, channels: int) -> torch.Tensor:
    """Sinusoidal embedding (batch, channels), float32; made in float64: 1000 rad cost four digits."""
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float64, device=timestep_B.device) / half
    angles = timestep_B.double()[:, None] * TIME_PERIOD**-exponents
    return torch.cat((angles.cos(), angles.sin()), dim=1).float()


def embed_time(
    tree: WanTree, timestep_B: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embedding of the timestep (batch, channels) and its six modulation rows (batch, 6, channels)."""
    time_BC = tree.time_embedding(sinusoid(timestep_B.flatten(), tree.freq_dim).to(dtype))
    return time_BC, tree.time_projection(time_BC).unflatten(1, (6, -1))


def modulated(normed_BLC: torch.Tensor, shift_BNC: torch.Tensor, scale_BNC: torch.Tensor) -> torch.Tensor:
    """Shifted and scaled tokens: normed * (1 + scale) + shift."""
    return torch.addcmul(shift_BNC, normed_BLC, 1 + scale_BNC)


def modulation_rows(weight_1NC: torch.Tensor, modulation_BNC: torch.Tensor) -> list[torch.Tensor]:
    """The rows (batch, 1, channels) of a block's own modulation plus the timestep's."""
    weight = weight_1NC.to(device=modulation_BNC.device, dtype=modulation_BNC.dtype)
    return list((weight + modulation_BNC).split(1, dim=1))


def block_forward(
    block: WanBlock, hook: BlockHook | None, context: BlockContext, x_BLC: torch.Tensor
) -> torch.Tensor:
    """One block: self-attention, cross-attention to text and picture, the hook, feed-forward."""
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = modulation_rows(
        block.modulation, context.modulation_BNC
    )
    attended, routing = self_attend(
        block.self_attn, hook, modulated(block.norm1(x_BLC), shift, scale), context
    )
    x_BLC = torch.addcmul(x_BLC, attended, gate)
    del attended
    x_BLC = x_BLC + cross_attend(block.cross_attn, block.norm3(x_BLC), context)
    if context.inside is not None:
        x_BLC = context.inside.crossed(x_BLC)
    if hook is not None:
        x_BLC = hook.apply(x_BLC, routing)
    return torch.addcmul(x_BLC, block.ffn(modulated(block.norm2(x_BLC), ffn_shift, ffn_scale)), ffn_gate)


def split_heads(x_BLC: torch.Tensor, num_heads: int) -> torch.Tensor:
    """(batch, tokens, channels) -> (batch, tokens, heads, head dimension)."""
    return x_BLC.unflatten(-1, (num_heads, -1))


def self_attend(
    layer: WanSelfAttention, hook: BlockHook | None, x_BLC: torch.Tensor, context: BlockContext
) -> tuple[torch.Tensor, Any]:
    """Self-attention of the modulated tokens, and what the hook made of its queries and keys."""
    heads, split = context.num_heads, context.split
    q_BLHD = in_heads(
        stored(rotate(split_heads(layer.norm_q(layer.q(x_BLC)), heads), context.rotation)), split
    )
    k_BLHD = in_heads(
        stored(rotate(split_heads(layer.norm_k(layer.k(x_BLC)), heads), context.rotation)), split
    )
    routing = None if hook is None else hook.observe_qk(q_BLHD, k_BLHD)
    v_BLHD = in_heads(split_heads(layer.v(x_BLC), heads), split)
    attended_BLHD = attention_of(layer, context)(q_BLHD, k_BLHD, v_BLHD)
    attended_BLC = (attended_BLHD if split is None else split.to_tokens(attended_BLHD)).flatten(2)
    if context.inside is not None:
        attended_BLC = context.inside.attended(attended_BLC, q_BLHD, k_BLHD)
    return layer.o(attended_BLC), routing


def in_heads(x_BLHD: torch.Tensor, split: TokenSplit | None) -> torch.Tensor:
    """All tokens in the heads of this process: all heads, or its rank's."""
    return x_BLHD if split is None else split.to_heads(x_BLHD)


def attention_of(layer: WanSelfAttention, context: BlockContext, *, precise: bool = False) -> Attention:
    """The attention of a layer: the backend, or what the host has for it."""
    if context.inside is None:
        return context.attention
    return context.inside.attention(layer, precise=precise)


def cross_attend(layer: WanCrossAttention, x_BLC: torch.Tensor, context: BlockContext) -> torch.Tensor:
    """Cross-attention to the text and, where there is one, to the CLIP picture."""
    heads = context.num_heads
    q_BLHD = stored(split_heads(layer.norm_q(layer.q(x_BLC)), heads))
    k_BMHD = split_heads(layer.norm_k(layer.k(context.text_BMC)), heads)
    v_BMHD = split_heads(layer.v(context.text_BMC), heads)
    attended = attention_of(layer, context)(q_BLHD, k_BMHD, v_BMHD)
    if context.clip_BMC is not None:
        k_BMHD = split_heads(layer.norm_k_img(layer.k_img(context.clip_BMC)), heads)
        v_BMHD = split_heads(layer.v_img(context.clip_BMC), heads)
        # Quantised, this one was seen to give NaN, and it is too small to gain from it.
        attended = attended + attention_of(layer, context, precise=True)(q_BLHD, k_BMHD, v_BMHD)
    return layer.o(attended.flatten(2))


def project_out(head: WanHead, x_BLC: torch.Tensor, time_BC: torch.Tensor) -> torch.Tensor:
    """The last modulated norm and projection: (batch, tokens, 16 * patch)."""
    shift, scale = modulation_rows(head.modulation, time_BC[:, None])
    return head.head(modulated(head.norm(x_BLC), shift, scale))


def unpatchify(x_BLC: torch.Tensor, grid_THW: tuple[int, int, int]) -> torch.Tensor:
    """Tokens back to latents (batch, channels, frames, height, width)."""
    frames, rows, columns = grid_THW
    return rearrange(
        x_BLC,
        "b (t h w) (ph pw c) -> b c t (h ph) (w pw)",
        t=frames,
        h=rows,
        w=columns,
        ph=PATCH_HW,
        pw=PATCH_HW,
    )
