"""Who speaks in a window, of three or four voices.

The weights know two positions, so two voices are heard at a time.

Shape letters: S speakers, F video frames, T samples.
"""

import torch

from ..common.tensor_file import drop_page_cache
from ..common.types import FPS, Waveform

PAIR = 2
"""Positions that the weights were trained on."""

STRETCH_FRAMES = 1000
"""Video frames whose sound is measured at a time."""


def track_activity(waveform: Waveform, video_frames: int) -> torch.Tensor:
    """Mean power of a waveform in each video frame, (video_frames,) float32; 0 beyond its end."""
    edges = torch.arange(video_frames + 1, dtype=torch.float64) * waveform.sample_rate_hz / FPS
    edges = edges.round().long().clamp(max=waveform.samples_CT.shape[-1])
    # Filled in place: small results kept between large ones leave holes in memory, 0.3 GB over an hour.
    powers = torch.empty(video_frames)
    for first in range(0, video_frames, STRETCH_FRAMES):
        stretch = edges[first : first + STRETCH_FRAMES + 1]
        powers[first : first + STRETCH_FRAMES] = _mean_powers(waveform.samples_CT, stretch)
    return powers


def _mean_powers(samples_CT: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Mean power from each edge to the next."""
    start, end = int(edges[0]), int(edges[-1])
    power_T = samples_CT[:, start:end].float().square().mean(dim=0)
    drop_page_cache()
    total = torch.cat([torch.zeros(1, dtype=torch.float64), power_T.double().cumsum(0)])[edges - start]
    return (total.diff() / (edges.diff().clamp(min=1))).float()


def active_pair(activity_SF: torch.Tensor, window: range) -> tuple[int, ...]:
    """The speakers whose tracks are heard in a window, at most two, in their own order.

    Args:
        activity_SF: power of each track in each video frame, as `track_activity` gives it.
        window: the window's video frames; frames past the end count as silent.

    Of equals the earlier speaker wins, so a silent window belongs to the first two.
    """
    speakers = activity_SF.shape[0]
    energy: list[float] = activity_SF[:, window.start : window.stop].double().sum(dim=1).tolist()
    loudest = sorted(range(speakers), key=lambda speaker: (-energy[speaker], speaker))
    return tuple(sorted(loudest[:PAIR]))


def voices_note(speakers: int) -> str | None:
    """What a node says beside more voices than the weights know, or None."""
    if speakers <= PAIR:
        return None
    return (
        f"The weights know two speakers. Of the {speakers} voices, each window hears the two that speak most "
        "in it; this is extrapolation, and a face may miss words or take over another's."
    )
