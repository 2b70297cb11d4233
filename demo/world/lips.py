"""How far mouths of this world are open, by their pixels, and whether they follow a voice.

Shape letters: F frames, H and W pixels, C colours; frames hold 0..1.
"""

import torch

MOUTH_FROM, MOUTH_TO = 0.42, 0.6
"""Red minus green at which a pixel begins to count as mouth, and at which it counts whole. No mouth of
demo/world has
less than 0.7 inside; its skins stay below 0.39 and all else below 0.26."""

TALLEST = 5
"""Columns of pixels whose mean is the height of a mouth."""


def openings_px(frames_FHWC: torch.Tensor, columns: slice = slice(None)) -> torch.Tensor:
    """Height of the open mouth in each frame, (F,), in pixels; of the part of the picture in `columns`."""
    part = frames_FHWC[:, :, columns].float()
    redness = part[..., 0] - part[..., 1]
    heights = ((redness - MOUTH_FROM) / (MOUTH_TO - MOUTH_FROM)).clamp(0, 1).sum(dim=1)
    return heights.topk(TALLEST, dim=-1).values.mean(dim=-1)


def correlation(a_F: torch.Tensor, b_F: torch.Tensor) -> float:
    """Pearson's; 0 if one of them does not move."""
    a, b = a_F.double() - a_F.double().mean(), b_F.double() - b_F.double().mean()
    size = a.norm() * b.norm()
    return float((a * b).sum() / size) if float(size) > 1e-9 else 0.0
