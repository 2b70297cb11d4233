"""Audio projector: encoder features of a window -> audio tokens for each latent frame.

Shape letters: S voices (of a whole batch), F video frames, T latent frames, K encoder frames around a frame,
L encoder layers, N tokens a voice and frame, C channels.
Source: MeiGen-AI/MultiTalk, wan/modules/multitalk_model.py (AudioProjModel and the split before it).
"""

import torch
from einops import rearrange
from torch import nn

from ...wanvideo.geometry import TIME_STRIDE
from ..common.layers import PLAIN, Layers
from ..common.types import CONTEXT_FRAMES
from .checkpoint import VAE_SCALE_FRAMES, TalkConfig


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
