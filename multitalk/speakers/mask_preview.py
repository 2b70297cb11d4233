"""A picture with the speakers' masks drawn over it: tinted, outlined, and labelled with their names.

Shape letters: S speakers, H and W pixels, C channels; values 0..1.
"""

from collections.abc import Sequence

import torch
from torch.nn.functional import max_pool2d

COLOURS = ((0.95, 0.35, 0.20), (0.15, 0.55, 0.95), (0.25, 0.75, 0.30), (0.90, 0.70, 0.10))
"""Of speakers A, B, C and D."""

TINT = 0.4
"""Share of the colour inside a mask."""

LINES_ACROSS = 200
"""The outline's width is the picture's shorter side divided by this."""

LABELS_ACROSS = 12
"""The label's height is the picture's shorter side divided by this."""

GLYPHS = {
    "A": (".###.", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"),
    "B": ("####.", "#...#", "#...#", "####.", "#...#", "#...#", "####."),
    "C": (".###.", "#...#", "#....", "#....", "#....", "#...#", ".###."),
    "D": ("####.", "#...#", "#...#", "#...#", "#...#", "#...#", "####."),
}
"""Letters of 5 x 7 dots: the host need not have a font."""


def draw_masks(picture_HWC: torch.Tensor, masks_SHW: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    """A copy of the picture (H, W, 3) with each mask in its colour and its name at its middle."""
    drawn_HWC = picture_HWC.clone()
    shorter_px = min(picture_HWC.shape[:2])
    width_px = max(1, shorter_px // LINES_ACROSS)
    for mask_HW, colour in zip(masks_SHW, COLOURS, strict=False):
        colour_C = drawn_HWC.new_tensor(colour)
        inside_HW = mask_HW > 0
        drawn_HWC[inside_HW] = (1 - TINT) * drawn_HWC[inside_HW] + TINT * colour_C
        drawn_HWC[inside_HW & outline(mask_HW, width_px)] = colour_C
    for mask_HW, colour, name in zip(masks_SHW, COLOURS, names, strict=False):
        draw_label(drawn_HWC, mask_HW, name, colour)
    return drawn_HWC


def outline(mask_HW: torch.Tensor, width_px: int) -> torch.Tensor:
    """The pixels, (H, W) bool, that are at most `width_px` away from what is outside of a mask."""
    outside_HW = (mask_HW <= 0).float()
    return max_pool2d(outside_HW[None], 2 * width_px + 1, stride=1, padding=width_px)[0] > 0


def draw_label(
    picture_HWC: torch.Tensor, mask_HW: torch.Tensor, name: str, colour: tuple[float, float, float]
) -> None:
    """Draw a name, white on a plate of the speaker's colour, over the middle of the mask, in place."""
    glyph_HW = torch.tensor([[dot == "#" for dot in row] for row in GLYPHS[name]])
    plate_HW = torch.nn.functional.pad(glyph_HW, (1, 1, 1, 1))
    dot_px = max(1, min(picture_HWC.shape[:2]) // LABELS_ACROSS // len(glyph_HW))
    plate_HW = plate_HW.repeat_interleave(dot_px, 0).repeat_interleave(dot_px, 1)
    plate_HW = plate_HW[: picture_HWC.shape[0], : picture_HWC.shape[1]]
    height, width = plate_HW.shape
    middle = mask_HW.nonzero().double().mean(dim=0)
    top = int((middle[0] - height / 2).clamp(0, picture_HWC.shape[0] - height))
    left = int((middle[1] - width / 2).clamp(0, picture_HWC.shape[1] - width))
    white = picture_HWC.new_ones(3)
    picture_HWC[top : top + height, left : left + width] = torch.where(
        plate_HW[..., None], white, picture_HWC.new_tensor(colour)
    )
