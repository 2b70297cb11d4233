"""Audio cross-attention: each latent frame's video tokens attend to the same frame's audio tokens.

Shape letters: B batch, T latent frames, L video tokens of all frames, P video tokens of one frame, N audio
tokens of one frame (all voices), H heads, D head dimension, C channels.
Source: MeiGen-AI/MultiTalk, wan/modules/attention.py (SingleStreamMutiAttention).
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import pad

from ...attention.protocol import Attention
from ...wanvideo.ranks import TokenSplit
from ...wanvideo.rope import Rotation, rotate
from ..common.layers import PLAIN, Layers
from .checkpoint import TalkConfig

NORM_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class SpeakerRotations:
    """Rotations that bring each video token near the voice that moves it.

    Attributes:
        query: of the video tokens of all frames, in the order of the flattened token grid.
        key: of one frame's audio tokens.
    """

    query: Rotation
    key: Rotation


class AudioCrossAttention(nn.Module):
    """Queries from video tokens, keys and values from audio tokens; no query or key norm."""

    def __init__(self, config: TalkConfig, layers: Layers = PLAIN) -> None:
        super().__init__()
        self.q_linear = layers.linear(config.dim, config.dim)
        self.kv_linear = layers.linear(config.output_dim, 2 * config.dim)
        self.proj = layers.linear(config.dim, config.dim)

    def forward(
        self,
        x_BLC: torch.Tensor,
        audio_BTNC: torch.Tensor,
        num_heads: int,
        attention: Attention,
        rotations: SpeakerRotations | None = None,
        split: TokenSplit | None = None,
    ) -> torch.Tensor:
        """What the voices add to each video token, (batch, tokens, channels).

        Args:
            x_BLC: normed video tokens of T frames, or of this rank's share of them.
            audio_BTNC: audio tokens of all T frames.
            num_heads: attention heads.
            attention: the attention backend.
            rotations: who is moved by whom, with several voices; the queries' are of the tokens given.
            split: which share of the tokens is given; None: all of them.
        """
        margins = None
        if split is not None:
            audio_BTNC, margins = frames_around(split, audio_BTNC)
        batch, frames = audio_BTNC.shape[:2]
        q_BLHD = self.q_linear(x_BLC).unflatten(-1, (num_heads, -1))
        k_FNHD, v_FNHD = self.kv_linear(audio_BTNC).flatten(0, 1).unflatten(-1, (2, num_heads, -1)).unbind(2)
        if rotations is not None:
            q_BLHD = rotate(q_BLHD, rotations.query)
            k_FNHD = rotate(k_FNHD, rotations.key)
        if margins is not None:
            q_BLHD = pad(q_BLHD, (0, 0, 0, 0, *margins))
        q_FPHD = rearrange(q_BLHD, "b (t p) h d -> (b t) p h d", t=frames)
        attended = rearrange(attention(q_FPHD, k_FNHD, v_FNHD), "(b t) p h d -> b (t p) (h d)", b=batch)
        if margins is not None:
            attended = pad(attended, (0, 0, -margins[0], -margins[1]))
        return self.proj(attended)


def frames_around(split: TokenSplit, audio_BTNC: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
    """The audio of the frames that a share of the tokens lies in, and how many tokens fill these up.

    A share begins and ends in the middle of frames. Tokens before and after it make them whole; the second
    number is negative where the share ends with padding beyond the last frame, which hears nothing.
    """
    frames = audio_BTNC.shape[1]
    per_frame = split.tokens // frames
    start = min(split.start, split.tokens - 1)  # a share of padding alone is as good as the last token
    first, before = divmod(start, per_frame)
    last = min(start + split.length - 1, split.tokens - 1) // per_frame
    after = (last + 1 - first) * per_frame - before - split.length
    return audio_BTNC[:, first : last + 1], (before, after)


class TalkBlock(nn.Module):
    """The audio weights of one transformer block."""

    def __init__(self, config: TalkConfig, layers: Layers = PLAIN) -> None:
        super().__init__()
        self.norm_x = layers.layer_norm(config.dim, NORM_EPS)
        self.audio_cross_attn = AudioCrossAttention(config, layers)
