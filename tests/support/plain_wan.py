"""A Wan 2.1 module tree of plain torch layers: what the golden weights are loaded into.

It satisfies wanvideo.protocols.WanTree and carries the published key names; nothing of it computes a forward.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

NORM_EPS = 1e-6
CLIP_CHANNELS = 1280


@dataclass(frozen=True)
class PlainConfig:
    """Dimensions as case.json names them."""

    dim: int
    num_heads: int
    ffn_dim: int
    num_layers: int
    text_dim: int
    freq_dim: int
    in_dim: int
    out_dim: int

    @classmethod
    def of(cls, model: Mapping[str, Any]) -> "PlainConfig":
        """The dimensions in a case's `config.model`."""
        return cls(**{name: model[name] for name in cls.__dataclass_fields__})


class SelfAttention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        for name in ("q", "k", "v", "o"):
            self.add_module(name, nn.Linear(dim, dim))
        self.norm_q = nn.RMSNorm(dim, eps=NORM_EPS)
        self.norm_k = nn.RMSNorm(dim, eps=NORM_EPS)


class CrossAttention(SelfAttention):
    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.k_img = nn.Linear(dim, dim)
        self.v_img = nn.Linear(dim, dim)
        self.norm_k_img = nn.RMSNorm(dim, eps=NORM_EPS)


class Block(nn.Module):
    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        dim = config.dim
        self.norm1 = nn.LayerNorm(dim, NORM_EPS, elementwise_affine=False)
        self.self_attn = SelfAttention(dim)
        self.norm3 = nn.LayerNorm(dim, NORM_EPS)
        self.cross_attn = CrossAttention(dim)
        self.norm2 = nn.LayerNorm(dim, NORM_EPS, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(dim, config.ffn_dim), nn.GELU("tanh"), nn.Linear(config.ffn_dim, dim)
        )
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))


class Head(nn.Module):
    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim, NORM_EPS, elementwise_affine=False)
        self.head = nn.Linear(config.dim, config.out_dim * 4)
        self.modulation = nn.Parameter(torch.zeros(1, 2, config.dim))


class PictureEmbedding(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.LayerNorm(CLIP_CHANNELS),
            nn.Linear(CLIP_CHANNELS, CLIP_CHANNELS),
            nn.GELU(),
            nn.Linear(CLIP_CHANNELS, dim),
            nn.LayerNorm(dim),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x)


class PlainWan(nn.Module):
    """The whole tree."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        dim = config.dim
        self.freq_dim = config.freq_dim
        self.num_heads = config.num_heads
        self.patch_embedding = nn.Conv3d(config.in_dim, dim, kernel_size=(1, 2, 2), stride=(1, 2, 2))
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_dim, dim), nn.GELU("tanh"), nn.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.img_emb = PictureEmbedding(dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.head = Head(config)
