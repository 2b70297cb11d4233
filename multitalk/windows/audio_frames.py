"""Encoder features around each video frame of a window.

Shape letters: N frames of a track, F frames of a window, K frames of context, L encoder layers, C channels.
"""

import torch

from ..common.types import CONTEXT_FRAMES


def context_indices(num_frames: int, start: int, count: int) -> torch.Tensor:
    """Indices (count, K) of the frames around `start`, `start + 1`, ..., clamped to a track of num_frames."""
    reach = CONTEXT_FRAMES // 2
    centres = torch.arange(start, start + count)[:, None]
    return (centres + torch.arange(-reach, reach + 1)).clamp(0, num_frames - 1)


def window_of_frames(track_NLC: torch.Tensor, start: int, count: int) -> torch.Tensor:
    """The features (count, K, L, C) that the projector sees for `count` frames from frame `start` on."""
    return track_NLC[context_indices(track_NLC.shape[0], start, count).to(track_NLC.device)]
