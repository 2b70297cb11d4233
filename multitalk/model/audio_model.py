"""The audio weights as one module, named as in the published files, and the hook that runs them.

The projector makes audio tokens for each latent frame of the encoder features of a window. In each block the
video tokens of a latent frame attend to the audio tokens of that frame.

Shape letters: B batch, S voices (in the projector those of a whole batch), F video frames, T latent frames, K
encoder frames around a frame, L encoder layers or video tokens of all frames, P video tokens of one frame, N
audio tokens of one frame, H heads, D head dimension, C channels.
Source: MeiGen-AI/MultiTalk, wan/modules/multitalk_model.py (AudioProjModel and the split before it) and
wan/modules/attention.py (SingleStreamMutiAttention).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import pad

from ...attention.protocol import Attention
from ...wanvideo.geometry import TIME_STRIDE
from ...wanvideo.ranks import TokenSplit
from ...wanvideo.rope import Rotation, rotate
from ..common.layers import PLAIN, Layers
from ..common.types import CONTEXT_FRAMES
from .checkpoint import VAE_SCALE_FRAMES, TalkConfig

NORM_EPS = 1e-6


def group_by_latent_frame(audio_SFKLC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split a window's features into the first frame's and, for each later latent frame, its four frames'.

    Of four frames, the first gives its encoder frames up to its centre, the two middle ones their centre, the
    last those from its centre on: (S, 1, K, L, C) and (S, T - 1, K + 3, L, C).
    """
    centre = audio_SFKLC.shape[2] // 2
    later = rearrange(audio_SFKLC[:, 1:], "s (t f) k l c -> s t f k l c", f=TIME_STRIDE)
    parts = (
        later[:, :, 0, : centre + 1],
        later[:, :, 1:-1, centre],
        later[:, :, -1, centre:],
    )
    return audio_SFKLC[:, :1], torch.cat(parts, dim=2)


class AudioProjector(nn.Module):
    """Projects grouped features to `context_tokens` tokens of `output_dim` channels for each latent frame."""

    def __init__(self, config: TalkConfig, layers: Layers = PLAIN) -> None:
        super().__init__()
        inner = config.intermediate_dim
        self.tokens = config.context_tokens
        self.proj1 = layers.linear(CONTEXT_FRAMES * config.feature_dim, inner)
        self.proj1_vf = layers.linear(VAE_SCALE_FRAMES * config.feature_dim, inner)
        self.proj2 = layers.linear(inner, inner)
        self.proj3 = layers.linear(inner, config.context_tokens * config.output_dim)
        self.norm = layers.layer_norm(config.output_dim)

    def forward(self, audio_SFKLC: torch.Tensor) -> torch.Tensor:
        """Tokens (S, T, N, C) of a window's features (S, F, K, L, C), F = 4 (T - 1) + 1."""
        first, later = group_by_latent_frame(audio_SFKLC)
        hidden = torch.cat((self.proj1(first.flatten(2)), self.proj1_vf(later.flatten(2))), dim=1).relu()
        tokens = self.proj3(self.proj2(hidden).relu()).unflatten(-1, (self.tokens, -1))
        # The authors run this norm in float32 under autocast; half precision loses the quiet tokens.
        return self.norm(tokens.float()).to(tokens.dtype)


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
        span = None
        if split is not None:
            span = split.frames_around(audio_BTNC.shape[1])
            audio_BTNC = audio_BTNC[:, span.first : span.end]
        batch, frames = audio_BTNC.shape[:2]
        q_BLHD = self.q_linear(x_BLC).unflatten(-1, (num_heads, -1))
        k_FNHD, v_FNHD = self.kv_linear(audio_BTNC).flatten(0, 1).unflatten(-1, (2, num_heads, -1)).unbind(2)
        if rotations is not None:
            q_BLHD = rotate(q_BLHD, rotations.query)
            k_FNHD = rotate(k_FNHD, rotations.key)
        if span is not None:
            q_BLHD = pad(q_BLHD, (0, 0, 0, 0, span.before, span.after))
        q_FPHD = rearrange(q_BLHD, "b (t p) h d -> (b t) p h d", t=frames)
        attended = attention(q_FPHD, k_FNHD, v_FNHD)
        attended_BLC = rearrange(attended, "(b t) p h d -> b (t p) (h d)", b=batch)
        if split is not None and span is not None:
            attended_BLC = split.out_of_frames(attended_BLC, span)
        return self.proj(attended_BLC)


class TalkBlock(nn.Module):
    """The audio weights of one transformer block."""

    def __init__(self, config: TalkConfig, layers: Layers = PLAIN) -> None:
        super().__init__()
        self.norm_x = layers.layer_norm(config.dim, NORM_EPS)
        self.audio_cross_attn = AudioCrossAttention(config, layers)


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
