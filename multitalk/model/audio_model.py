"""The audio weights as one module, named as in the published files, and the hook that runs them.

Shape letters: B batch, S voices, F video frames, T latent frames, K encoder frames around a frame, L tokens
or encoder layers, N audio tokens, C channels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import nn

from ...attention.protocol import Attention
from ...wanvideo.ranks import TokenSplit
from ..common.layers import PLAIN, Layers
from .audio_attention import SpeakerRotations, TalkBlock
from .checkpoint import TalkConfig
from .projector import AudioProjector

RouteSpeakers = Callable[[torch.Tensor, torch.Tensor], SpeakerRotations]
"""Who is moved by whom, from a block's rotated self-attention queries and keys (batch, tokens, heads,
dim).
"""


class AudioModel(nn.Module):
    """InfiniteTalk's or MultiTalk's audio weights: the projector, and in each block a norm and attention."""

    def __init__(self, config: TalkConfig, layers: Layers = PLAIN) -> None:
        super().__init__()
        self.config = config
        self.audio_proj = AudioProjector(config, layers)
        self.blocks = nn.ModuleList(TalkBlock(config, layers) for _ in range(config.num_layers))

    def audio_tokens(self, audio_BSFKLC: torch.Tensor) -> torch.Tensor:
        """Audio tokens (batch, T, voices * tokens, C) of windows of features, the voices side by side."""
        voices = audio_BSFKLC.shape[1]
        tokens = self.audio_proj(audio_BSFKLC.flatten(0, 1))
        return rearrange(tokens, "(b s) t n c -> b t (s n) c", s=voices)


@dataclass(frozen=True, slots=True)
class TalkHook:
    """A block's hook (wanvideo.protocols.BlockHook): adds the audio cross-attention.

    Attributes:
        block: the block's audio weights.
        tokens_BTNC: projected audio of the window.
        num_heads: attention heads of the video transformer.
        attention: the attention backend.
        route: how several voices find their speakers; None with one voice.
        split: this process's share of the video tokens, where several make one evaluation; else None.
    """

    block: TalkBlock
    tokens_BTNC: torch.Tensor
    num_heads: int
    attention: Attention
    route: RouteSpeakers | None = None
    split: TokenSplit | None = None

    def observe_qk(self, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor) -> SpeakerRotations | None:
        """The speaker routing of this block; each block makes its own, as in training."""
        return None if self.route is None else self.route(q_BLHD, k_BLHD)

    def apply(self, x_BLC: torch.Tensor, routing: SpeakerRotations | None) -> torch.Tensor:
        """Add the audio cross-attention on the normed tokens, without a gate."""
        spoken = self.block.audio_cross_attn(
            self.block.norm_x(x_BLC), self.tokens_BTNC, self.num_heads, self.attention, routing, self.split
        )
        return x_BLC + spoken


@dataclass(frozen=True, slots=True)
class TalkHooks:
    """The hooks of all blocks; attributes as in TalkHook."""

    model: AudioModel
    tokens_BTNC: torch.Tensor
    num_heads: int
    attention: Attention
    route: RouteSpeakers | None = None
    split: TokenSplit | None = None

    def __call__(self, block_index: int) -> TalkHook:
        """The hook of one block."""
        block = self.model.blocks[block_index]
        assert isinstance(block, TalkBlock)
        return TalkHook(block, self.tokens_BTNC, self.num_heads, self.attention, self.route, self.split)
