"""Dimensions of the audio weights, read off their shapes."""

from dataclasses import dataclass

from .types import CONTEXT_FRAMES

LATER_POSITIONS = CONTEXT_FRAMES + 3
"""Encoder frames that a latent frame of four video frames sees: 3 of its first, 1 + 1, 3 of its last."""


@dataclass(frozen=True, slots=True)
class TalkConfig:
    """Dimensions of InfiniteTalk and MultiTalk weights.

    Attributes:
        channels: width of the video transformer they belong to.
        num_blocks: its blocks.
        encoder_layers: hidden states of the speech encoder for each frame.
        encoder_channels: their width.
        inner_channels: width inside the projector.
        tokens: audio tokens a voice and latent frame.
        token_channels: their width.
    """

    channels: int
    num_blocks: int
    encoder_layers: int
    encoder_channels: int
    inner_channels: int
    tokens: int
    token_channels: int

    @property
    def first_positions(self) -> int:
        """Encoder frames that the first latent frame sees."""
        return CONTEXT_FRAMES

    @property
    def later_positions(self) -> int:
        """Encoder frames that each later latent frame sees."""
        return LATER_POSITIONS
