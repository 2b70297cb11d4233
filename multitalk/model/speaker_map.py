"""Which voice moves which face: a map of how much each token looks at each person, and positions made of it.

The map is how much of its attention a token spends on each mask's tokens of the first latent frame. It needs
no softmax matrix: it is an attention over that frame's keys whose values are the masks, so any fused backend
computes it. All heads count (the reference drops the last one of an odd number; Wan has 40).

Position turns the map into speech: tokens that look at person 1 get a place in 0..4, where person 1's audio
keys sit at 2; person 2 has 20..24 and 22; the background sits at 12, between them. The weights know these
two; places of a third and a fourth person go on in steps of 20 and are extrapolation.

Shape letters: B batch, L tokens of the video, K tokens of one latent frame, M masks (people, then
background), H heads, D head dimension.
"""

import torch

from ...attention.protocol import Attention

PLACE_WIDTH = 4.0
PLACE_STEP = 20.0
BACKGROUND_POSITION = 12.0
SPREAD_FLOOR = 1e-8
"""Added to a map's range before scaling, as the reference does: a map without range divides by it."""


def speaker_map(
    q_BLHD: torch.Tensor, k_first_BKHD: torch.Tensor, masks_MK: torch.Tensor, attention: Attention
) -> torch.Tensor:
    """How much each token looks at each mask, (B, M, L) float32: mean attention a mask token, over all heads.

    Args:
        q_BLHD: queries of the self-attention after normalisation and RoPE.
        k_first_BKHD: keys of the first latent frame, likewise.
        masks_MK: 1 on each mask's tokens of that frame; a mask without tokens gets a map of zeros.
        attention: any backend; it sees values of the usual head dimension.
    """
    batch, keys, heads, head_dim = k_first_BKHD.shape
    num_masks = masks_MK.shape[0]
    assert num_masks <= head_dim, f"{num_masks} masks do not fit into values of {head_dim}"
    assert masks_MK.shape[1] == keys, f"masks of {masks_MK.shape[1]} tokens for {keys} keys"
    values_KD = k_first_BKHD.new_zeros(keys, head_dim)
    values_KD[:, :num_masks] = masks_MK.T
    # backends differ in what strides they take, so the values are laid out as keys are
    values_BKHD = values_KD[None, :, None, :].expand(batch, keys, heads, head_dim).contiguous()
    seen_BLHD = attention(q_BLHD, k_first_BKHD, values_BKHD)
    share_BLM = seen_BLHD[..., :num_masks].float().mean(dim=2)
    area_M = masks_MK.to(share_BLM).sum(dim=1).clamp(min=1)
    return (share_BLM / area_M).transpose(1, 2)


def query_positions(map_BML: torch.Tensor) -> torch.Tensor:
    """The position of each video token, (B, L) float32.

    A token belongs to the mask it looks at most (the earlier one of equals). A person's map is scaled by its
    least and greatest value over all tokens, also those that belong to others.
    """
    map_BML = map_BML.float()
    people_BSL = map_BML[:, :-1]
    least_BS1, greatest_BS1 = people_BSL.amin(dim=-1, keepdim=True), people_BSL.amax(dim=-1, keepdim=True)
    scaled_BSL = (people_BSL - least_BS1) / (greatest_BS1 - least_BS1 + SPREAD_FLOOR) * PLACE_WIDTH
    starts_S = torch.arange(people_BSL.shape[1], device=map_BML.device) * PLACE_STEP
    background_B1L = torch.full_like(map_BML[:, :1], BACKGROUND_POSITION)
    choices_BML = torch.cat([scaled_BSL + starts_S[:, None], background_B1L], dim=1)
    return choices_BML.gather(1, map_BML.argmax(dim=1, keepdim=True)).squeeze(1)


def key_positions(speakers: int, tokens_per_speaker: int, device: torch.device | None = None) -> torch.Tensor:
    """The position of each audio token of a frame, one speaker after another.

    Returns:
        (speakers * tokens_per_speaker,) float32.
    """
    centres = torch.arange(speakers, device=device) * PLACE_STEP + PLACE_WIDTH / 2
    return centres.repeat_interleave(tokens_per_speaker)
