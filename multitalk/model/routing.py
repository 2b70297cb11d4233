"""Several voices: each video token is turned toward the voice of the person it belongs to.

Shape letters: B batch, L video tokens, H heads, D head dimension, M masks (people, then background), P tokens
of one latent frame.
"""

from dataclasses import dataclass

import torch

from ...attention.protocol import Attention
from ...wanvideo.compiling import stored
from ...wanvideo.ranks import TokenSplit
from ...wanvideo.rope import Rotation, angles, rotation_of_angles
from .audio_model import SpeakerRotations
from .speaker_map import key_positions, query_positions, speaker_map


@dataclass(frozen=True, slots=True)
class SpeakerRouter:
    """Routes by a block's own self-attention: what a token looks at in the first frame decides who moves it.

    Attributes:
        masks_MP: 1 on the tokens of each person in a frame; the last row is the background.
        audio_tokens: audio tokens of a frame, of all voices.
        attention: the attention backend.
        split: this process's share of the video tokens, where several make one evaluation; else None.
    """

    masks_MP: torch.Tensor
    audio_tokens: int
    attention: Attention
    split: TokenSplit | None = None

    def __call__(self, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor) -> SpeakerRotations:
        """The rotations of video tokens and audio tokens from rotated queries and keys.

        With a share, these are all tokens' in this rank's heads. Each rank then maps all tokens by its heads;
        the maps of all ranks are averaged, a few numbers a token, and only the share's tokens are turned.
        """
        voices, frame_tokens = self.masks_MP.shape[0] - 1, self.masks_MP.shape[1]
        map_BML = speaker_map(q_BLHD, k_BLHD[:, :frame_tokens], self.masks_MP, self.attention)
        if self.split is not None:
            # Gathered and added up in one order: the same last digits on all ranks and in every run.
            map_BML = self.split.ranks.gathered(map_BML).mean(dim=0)
        positions_BL = query_positions(map_BML)
        if self.split is not None:
            positions_BL = self.split.share_of(positions_BL)
        pairs = q_BLHD.shape[-1] // 2
        keys_N = key_positions(voices, self.audio_tokens // voices, q_BLHD.device)
        turns = rotation_of_angles(angles(positions_BL, pairs)).turn_BLHP2
        return SpeakerRotations(
            query=Rotation(stored(turns)),  # a compiler would else work them out again for each head
            key=rotation_of_angles(angles(keys_N, pairs)[None]),
        )
