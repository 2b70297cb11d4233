"""The tiny transformer with its audio branch, through the pack's own forward, and how it starts.

Shape letters: B batch, S voices, F video frames, K frames of context, L encoder layers or tokens, C
channels, T latent
frames, H and W latent rows and columns, M masks, P tokens of a frame, N places of a linear layer.
"""

# Weights are reached by name through torch modules, whose attributes have no types.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportUnusedImport=false

import sys
from pathlib import Path

import pack  # noqa: F401
import torch
from evertalk_pack.multitalk.model.audio_model import AudioModel, RouteSpeakers, SpeakerRotations, TalkHooks
from evertalk_pack.multitalk.model.checkpoint import TalkConfig
from evertalk_pack.multitalk.model.speaker_map import key_positions, query_positions, speaker_map
from evertalk_pack.wanvideo.forward import WanInputs, wan_forward
from evertalk_pack.wanvideo.rope import angles, grid_rotation, rotation_of_angles
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
from plain_wan import PlainConfig, PlainWan

DIM, HEADS, FFN, LAYERS = 256, 2, 512, 6
WAN = PlainConfig(
    dim=DIM,
    num_heads=HEADS,
    ffn_dim=FFN,
    num_layers=LAYERS,
    text_dim=4096,
    freq_dim=256,
    in_dim=36,
    out_dim=16,
)
TALK = TalkConfig(
    dim=DIM, num_layers=LAYERS, feature_dim=2 * 128, intermediate_dim=128, context_tokens=8, output_dim=64
)
GRID = (9, 8, 8)
PAIRS = DIM // HEADS // 2
PLACED_PAIRS = slice(2, 22)
"""Rotary pairs whose turn tells speaker places apart that are 20 apart, and not those that are 2 apart."""


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """The pack's attention signature over torch's: (batch, tokens, heads, channels)."""
    return F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(
        1, 2
    )


def watched_router(masks_MP: torch.Tensor, audio_tokens: int, maps: list[torch.Tensor]) -> RouteSpeakers:
    """Routes as multitalk.model.routing.SpeakerRouter does, and keeps each block's map (B, M, L) in `maps`.

    A function: the compiler cannot call frozen dataclasses.
    """

    def route(q_BLHD: torch.Tensor, k_BLHD: torch.Tensor) -> SpeakerRotations:
        voices, frame_tokens = masks_MP.shape[0] - 1, masks_MP.shape[1]
        map_BML = speaker_map(q_BLHD, k_BLHD[:, :frame_tokens], masks_MP, attention)
        maps.append(map_BML)
        keys = key_positions(voices, audio_tokens // voices, q_BLHD.device)
        with torch.autocast(q_BLHD.device.type, enabled=False):
            return SpeakerRotations(
                rotation_of_angles(angles(query_positions(map_BML), PAIRS)),
                rotation_of_angles(angles(keys, PAIRS)[None]),
            )

    return route


class Talker(nn.Module):
    """Transformer and audio weights as one module for training."""

    def __init__(self) -> None:
        super().__init__()
        self.tree, self.talk = PlainWan(WAN), AudioModel(TALK)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        """Tokens look at their own place from the start, and audio keys are told apart by place."""
        sign = torch.where(torch.arange(DIM) % 2 == 0, 1.0, 1.0)
        for block in self.tree.blocks:
            attend = block.self_attn
            attend.k.weight.copy_(attend.q.weight)
            attend.q.bias.copy_(0.5 * sign)
            attend.k.bias.copy_(0.5 * sign)
            nn.init.normal_(block.modulation, std=DIM**-0.5)
            block.modulation[:, (2, 5)] += 0.5
        for block in self.talk.blocks:
            spoken = block.audio_cross_attn
            placed = torch.zeros(HEADS, PAIRS, 2)
            placed[:, PLACED_PAIRS] = 1.4
            spoken.q_linear.bias.copy_(placed.flatten())
            spoken.kv_linear.bias[:DIM].copy_(placed.flatten())
            spoken.proj.weight.mul_(0.5)
        nn.init.zeros_(self.tree.head.head.weight)
        nn.init.zeros_(self.tree.head.head.bias)

    def forward(
        self,
        x_BCTHW: torch.Tensor,
        timestep_B: torch.Tensor,
        text_BMC: torch.Tensor,
        audio_BSFKLC: torch.Tensor,
        masks_MP: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Noise minus data, and each block's speaker map if masks are given."""
        tokens = self.talk.audio_tokens(audio_BSFKLC)
        maps: list[torch.Tensor] = []
        router = None if masks_MP is None else watched_router(masks_MP, tokens.shape[2], maps)
        hook = TalkHooks(self.talk, tokens, HEADS, attention, router)
        text = text_BMC.expand(len(x_BCTHW), -1, -1)
        rotation = grid_rotation(GRID, DIM // HEADS, x_BCTHW.device)
        flow = wan_forward(self.tree, WanInputs(x_BCTHW, timestep_B, text, None, rotation), attention, hook)
        return flow, maps


FP8_MAX = 448.0


def is_matrix(name: str, value: torch.Tensor) -> bool:
    """Whether a weight is stored in fp8: matrices of linear layers."""
    return value.ndim == 2 and name.endswith(".weight")


def through_fp8(value: torch.Tensor) -> torch.Tensor:
    """The value as fp8 with one scale gives it back; gradients pass as if nothing had happened."""
    scale = value.detach().float().abs().amax().clamp(min=1e-12) / FP8_MAX
    coarse = (value.detach().float() / scale).to(torch.float8_e4m3fn).float() * scale
    return value + (coarse.to(value.dtype) - value.detach())


def used_in_training(name: str) -> bool:
    """Whether the weight has a say: the CLIP picture's part has none."""
    return not any(part in name for part in ("img_emb", "k_img", "v_img", "norm_k_img"))
