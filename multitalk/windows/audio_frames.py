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


def window_after_silence(track_NLC: torch.Tensor, start: int, count: int) -> torch.Tensor:
    """As window_of_frames, of a track that ends in encoded silence: that is heard before its frame 0 too.

    A window that leads in to the video begins before it, where the first sound would else be held. `start`
    and its context lie no further before frame 0 than the silence is long.
    """
    reach = CONTEXT_FRAMES // 2
    frames = torch.arange(start, start + count)[:, None] + torch.arange(-reach, reach + 1)
    length = track_NLC.shape[0]
    return track_NLC[
        torch.where(frames < 0, frames + length, frames).clamp(max=length - 1).to(track_NLC.device)
    ]


def newest_frames(buffer_NLC: torch.Tensor, count: int) -> torch.Tensor:
    """The features (count, K, L, C) of the last `count` frames of what was heard: no future is known."""
    return window_of_frames(buffer_NLC, buffer_NLC.shape[0] - count, count)
