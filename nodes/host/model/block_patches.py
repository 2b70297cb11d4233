"""What other nodes registered for the transformer's blocks, called as the host's own Wan calls it.

Shape letters: B batch, L video tokens, M context tokens, H heads, D head dimension, C channels, T latent
frames, H and W latent rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ....attention.protocol import Attention
from ....multitalk.common.errors import InputError
from ....wanvideo.blocks import BlockContext, HostSide, InsideBlock, RunInContext
from ....wanvideo.forward import embed_time, token_grid
from ....wanvideo.protocols import WanSelfAttention, WanTree
from ....wanvideo.rope import Rotation
from ..compat.wan_model import AFTER_BLOCK, ATTENDED, CROSSED, PATCHES, honoured_patches
from .attention import host_attention

Patch = Callable[[dict[str, Any]], Any]

REPLACED = "double_block"
"""Names a block among the host's replacements: (this, its number)."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the host handed its transformer; patches get it as it came.

    Attributes:
        tree: the host's modules.
        x_BCTHW: latents with mask and picture.
        timestep_B: 0..1000.
        freqs: the host's rotation matrices.
    """

    tree: WanTree
    x_BCTHW: torch.Tensor
    timestep_B: torch.Tensor
    freqs: torch.Tensor


@dataclass(frozen=True, slots=True)
class HostInside:
    """What nodes have a say in inside of blocks (wanvideo.blocks.InsideBlock).

    Attributes:
        options: the call's transformer options.
        attended_patches: called after self-attention.
        crossed_patches: called after the cross-attention to text and picture.
        kernel: the attention backend; None is the host's own.
    """

    options: dict[str, Any]
    attended_patches: list[Patch]
    crossed_patches: list[Patch]
    kernel: Attention | None

    def attention(self, layer: WanSelfAttention, *, precise: bool = False) -> Attention:
        """The backend, or what the host takes for this layer."""
        return self.kernel or host_attention(self.options, layer, precise=precise)

    def attended(self, x_BLC: torch.Tensor, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor) -> torch.Tensor:
        """What the patches make of self-attention's result."""
        for patch in self.attended_patches:
            x_BLC = patch({"x": x_BLC, "q": q_BLHD, "k": k_BLHD, "transformer_options": self.options})
        return x_BLC

    def crossed(self, x_BLC: torch.Tensor) -> torch.Tensor:
        """What the patches make of the tokens after the cross-attention."""
        for patch in self.crossed_patches:
            x_BLC = patch({"x": x_BLC, "transformer_options": self.options})
        return x_BLC


def registered(options: dict[str, Any], name: str) -> list[Patch]:
    """The patches of a name, if the host's own Wan would call them."""
    return list(options.get(PATCHES, {}).get(name, ())) if name in honoured_patches() else []


def inside_of(options: dict[str, Any], kernel: Attention | None) -> InsideBlock | None:
    """Nodes' say inside of blocks; None where there is nothing to say, so that blocks may be compiled."""
    if kernel is not None and not patches_inside(options):
        return None
    return HostInside(options, registered(options, ATTENDED), registered(options, CROSSED), kernel)


def patches_inside(options: dict[str, Any]) -> list[Patch]:
    """The patches that run inside of blocks."""
    return [*registered(options, ATTENDED), *registered(options, CROSSED)]


@dataclass(frozen=True, slots=True)
class HostBlocks:
    """Runs single blocks as the host does: numbered, replaced by nodes, and with patches after them.

    Attributes:
        options: the call's transformer options.
        given: what the host handed its transformer.
        kernel: the attention backend; None is the host's own.
        after_patches: called after each block.
        replacements: of blocks, by their names.
    """

    options: dict[str, Any]
    given: Given
    kernel: Attention | None
    after_patches: list[Patch]
    replacements: dict[tuple[str, int], Callable[..., dict[str, Any]]]
    _time: list[torch.Tensor] = field(default_factory=list[torch.Tensor])

    def run_block(
        self, index: int, context: BlockContext, x_BLC: torch.Tensor, run: RunInContext
    ) -> torch.Tensor:
        """The tokens after a block and all that nodes did to it."""
        self.options["block_index"] = index
        replacement = self.replacements.get((REPLACED, index))
        if replacement is None:
            x_BLC = run(context, x_BLC)
        else:
            x_BLC = self.replaced(index, replacement, context, x_BLC, run)
        for patch in self.after_patches:
            x_BLC = patch(
                {
                    "img": x_BLC,
                    "x": self.given.x_BCTHW,
                    "vec": self.time_B1C(),
                    "block_index": index,
                    "img_offset": 0,  # no tokens stand before the video's
                    "transformer_options": self.options,
                }
            )["img"]
        return x_BLC

    def time_B1C(self) -> torch.Tensor:  # noqa: N802
        """The embedded timestep, made when a patch first needs it."""
        if not self._time:
            given = self.given
            self._time.append(embed_time(given.tree, given.timestep_B, given.x_BCTHW.dtype)[0][:, None])
        return self._time[0]

    def replaced(
        self,
        index: int,
        replacement: Callable[..., dict[str, Any]],
        context: BlockContext,
        x_BLC: torch.Tensor,
        run: RunInContext,
    ) -> torch.Tensor:
        """A block as a node replaces it; the block itself takes all that the node hands it."""

        def original_block(given: dict[str, Any]) -> dict[str, Any]:
            return {"img": run(self.context_from(given, context, index), given["img"])}

        arguments = {
            "img": x_BLC,
            "txt": joined_context(context),
            "vec": context.modulation_BNC[:, None],
            "pe": self.given.freqs,
            "transformer_options": self.options,
        }
        return replacement(arguments, {"original_block": original_block})["img"]

    def context_from(self, given: dict[str, Any], context: BlockContext, index: int) -> BlockContext:
        """What the block reads, out of what a replacement handed over.

        Raises:
            InputError: modulation for each token, which the pack's blocks cannot follow.
        """
        options, vec = given["transformer_options"], given["vec"]
        if vec.ndim != 4 or vec.shape[1] != 1:
            raise InputError(
                f"model: a node replaces block {index} with modulation of shape {tuple(vec.shape)}, one for "
                "each token or frame; EverTalk's blocks take one for all, (batch, 1, 6, channels). Remove "
                "the node in front of EverTalk's sampler."
            )
        pictures = 0 if context.clip_BMC is None else context.clip_BMC.shape[1]
        return replace(
            context,
            modulation_BNC=vec[:, 0],
            text_BMC=given["txt"][:, pictures:],
            clip_BMC=given["txt"][:, :pictures] if pictures else None,
            rotation=rotation_of_host(given["pe"]),
            inside=context.inside if options is self.options else inside_of(options, self.kernel),
        )


def host_side(options: dict[str, Any], given: Given, kernel: Attention | None) -> HostSide:
    """The host's say in a call, and its entries in the transformer options, which overrides read."""
    options["grid_sizes"] = torch.Size(token_grid(given.x_BCTHW))
    options["total_blocks"] = len(given.tree.blocks)
    options["block_type"] = "double"
    replacements = options.get("patches_replace", {}).get("dit", {})
    blocks = HostBlocks(options, given, kernel, registered(options, AFTER_BLOCK), replacements)
    return HostSide(blocks.run_block, inside_of(options, kernel))


def joined_context(context: BlockContext) -> torch.Tensor:
    """The embedded picture before the embedded text, as the host's blocks take them."""
    if context.clip_BMC is None:
        return context.text_BMC
    return torch.cat((context.clip_BMC, context.text_BMC), dim=1)


def rotation_of_host(freqs: torch.Tensor) -> Rotation:
    """The host's rotation matrices (1, tokens, 1, pairs, 2, 2) as cosine and sine: their first column."""
    return Rotation(freqs[..., 0].float().contiguous())
