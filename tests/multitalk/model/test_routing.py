"""Whose face a voice moves: the routing and the audio cross-attention together, with figures known exactly.

Two people of two tokens each, one frame. Audio keys and video queries are one constant direction before they
are turned by their positions, so that how much a token hears of a voice follows from the positions alone.
"""

import math

import pytest
import torch
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.multitalk.model.audio_model import AudioCrossAttention, SpeakerRotations
from evertalk_pack.multitalk.model.checkpoint import TalkConfig
from evertalk_pack.multitalk.model.routing import SpeakerRouter
from evertalk_pack.multitalk.model.speaker_map import query_positions, speaker_map
from evertalk_pack.wanvideo.rope import BASE

HEAD_DIM, HEADS, AUDIO_TOKENS, AUDIO_DIM = 16, 2, 3, 8
DIM = HEAD_DIM * HEADS
MASKS_MP = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]])
VOICE_PLACES = (2.0, 22.0)
STRENGTH = 3.0


def looking_at_themselves() -> tuple[torch.Tensor, torch.Tensor]:
    """Self-attention of one frame in which each token looks at its own mask, the first of two the most."""
    keys_PD = torch.nn.functional.pad(MASKS_MP.T, (0, HEAD_DIM - 3)) * 4
    queries_PD = keys_PD * torch.tensor([1.0, 0.6, 1.0, 0.6, 1.0])[:, None]
    return in_heads(queries_PD), in_heads(keys_PD)


def in_heads(x_PD: torch.Tensor) -> torch.Tensor:
    return x_PD[None, :, None].expand(1, -1, HEADS, -1).contiguous()


def routed() -> tuple[SpeakerRotations, torch.Tensor]:
    q_BLHD, k_BLHD = looking_at_themselves()
    rotations = SpeakerRouter(MASKS_MP, 2 * AUDIO_TOKENS, attend)(q_BLHD, k_BLHD)
    return rotations, query_positions(speaker_map(q_BLHD, k_BLHD, MASKS_MP, attend))[0]


def constant_directions() -> AudioCrossAttention:
    """Queries and keys are the same for every token; values and output are random."""
    torch.manual_seed(0)
    config = TalkConfig(DIM, 1, 4, 4, AUDIO_TOKENS, AUDIO_DIM)
    block = AudioCrossAttention(config).requires_grad_(requires_grad=False)
    block.q_linear.weight.zero_()
    block.q_linear.bias.fill_(1)
    block.kv_linear.weight[:DIM].zero_()
    block.kv_linear.bias[:DIM].fill_(STRENGTH)
    return block


def share_of_first_voice(position: float) -> float:
    """How much a token at this position hears of the first voice."""
    scores: list[float] = []
    for place in VOICE_PLACES:
        turns = [BASE ** -(pair / (HEAD_DIM // 2)) for pair in range(HEAD_DIM // 2)]
        alike = sum(2 * STRENGTH * math.cos((position - place) * turn) for turn in turns)
        scores.append(math.exp(alike / math.sqrt(HEAD_DIM)))
    return scores[0] / sum(scores)


def test_tokens_get_the_place_of_the_person_they_look_at() -> None:
    _, positions_L = routed()
    assert positions_L[[0, 2, 4]].tolist() == pytest.approx([4, 24, 12], abs=1e-4)
    assert 0 < positions_L[1] < 4
    assert 20 < positions_L[3] < 24


def test_silencing_a_voice_changes_its_own_person_by_exactly_what_they_heard_of_it() -> None:
    rotations, positions_L = routed()
    block = constant_directions()
    x_BLC = torch.randn(1, 5, DIM, generator=torch.Generator().manual_seed(1))
    voice_BTNC = torch.randn(1, 1, 1, AUDIO_DIM, generator=torch.Generator().manual_seed(2))
    both = voice_BTNC.expand(1, 1, 2 * AUDIO_TOKENS, AUDIO_DIM).contiguous()
    first_silent = both.clone()
    first_silent[:, :, :AUDIO_TOKENS] = 0
    heard = block(x_BLC, both, HEADS, attend, rotations)
    without = block(x_BLC, first_silent, HEADS, attend, rotations)
    value_C = torch.nn.functional.linear(voice_BTNC.flatten(), block.kv_linear.weight[DIM:])
    whole_change_C = torch.nn.functional.linear(value_C, block.proj.weight)
    shares = torch.tensor([share_of_first_voice(float(position)) for position in positions_L])
    torch.testing.assert_close(
        heard - without, (shares[:, None] * whole_change_C)[None], atol=1e-5, rtol=1e-4
    )
    change_L = (heard - without)[0].norm(dim=1)
    assert change_L[:2].min() > 2 * change_L[2:4].max()


def test_silencing_the_other_voice_changes_the_other_person() -> None:
    rotations, _ = routed()
    block = constant_directions()
    x_BLC = torch.zeros(1, 5, DIM)
    both = torch.ones(1, 1, 2 * AUDIO_TOKENS, AUDIO_DIM)
    second_silent = both.clone()
    second_silent[:, :, AUDIO_TOKENS:] = 0
    difference = block(x_BLC, both, HEADS, attend, rotations) - block(
        x_BLC, second_silent, HEADS, attend, rotations
    )
    change_L = difference[0].norm(dim=1)
    assert change_L[2:4].min() > 2 * change_L[:2].max()


def test_swapping_the_voices_changes_what_is_heard() -> None:
    rotations, _ = routed()
    block = constant_directions()
    audio = torch.randn(1, 1, 2 * AUDIO_TOKENS, AUDIO_DIM, generator=torch.Generator().manual_seed(3))
    swapped = audio.roll(AUDIO_TOKENS, dims=2)
    x_BLC = torch.zeros(1, 5, DIM)
    heard, other = (block(x_BLC, tokens, HEADS, attend, rotations) for tokens in (audio, swapped))
    assert (heard - other).abs().max() > 0.01
    unrouted = (block(x_BLC, tokens, HEADS, attend) for tokens in (audio, swapped))
    torch.testing.assert_close(*unrouted)  # without routing it does not matter who says it
