"""Clips that are turned, mirrored, or made of pixels that are not square."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.dubbing.clip import DubSource
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.media.frame_shape import square_size
from numpy.typing import NDArray
from source_clips import lay, write_clip

LAYINGS = [(a, b, c, d) for a, b, c, d in (
    (1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1),
    (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0), (0, -1, -1, 0),
)]  # fmt: skip
"""All eight ways to lay a sheet: as it is, mirrored both ways, turned by halves and quarters, and both."""


def corners() -> NDArray[np.uint8]:
    """A picture, 32 high and 64 wide, with another grey in each quarter."""
    rows = [np.repeat(levels, 32)[None].repeat(16, 0) for levels in ([20, 90], [160, 230])]
    return np.concatenate(rows)[..., None].repeat(3, 2).astype(np.uint8)


@pytest.mark.parametrize("matrix", LAYINGS)
def test_every_display_matrix_is_obeyed(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    stored = corners()
    path = write_clip(tmp_path / "laid.mp4", [(k / 25, stored) for k in range(5)])
    if matrix != (1, 0, 0, 1):
        lay(path, *matrix)
    a, b, c, d = matrix
    height, width = stored.shape[:2] if a else stored.shape[1::-1]
    expected = np.zeros((height, width), np.float32)
    for y in range(stored.shape[0]):
        for x in range(stored.shape[1]):
            # Where the standard's matrix sends a pixel; the whole is then moved into view.
            to_x, to_y = a * x + c * y, b * x + d * y
            expected[to_y % height, to_x % width] = stored[y, x, 0] / 255
    if a < 0 or c < 0:
        expected = np.roll(expected, -1, axis=1)
    if b < 0 or d < 0:
        expected = np.roll(expected, -1, axis=0)
    source = open_source(path)
    assert (source.height_px, source.width_px) == expected.shape
    seen_HWC = source.reader().frame_at(0.1)
    assert seen_HWC.shape == (*expected.shape, 3)
    assert float((seen_HWC[..., 0] - torch.from_numpy(expected)).abs().mean()) < 0.02


@pytest.mark.parametrize(
    ("stored", "pixel", "seen"),
    [
        ((576, 720), Fraction(64, 45), (576, 1024)),  # PAL, 16:9
        ((576, 720), Fraction(16, 15), (576, 768)),  # PAL, 4:3
        ((480, 720), Fraction(8, 9), (540, 720)),  # NTSC, 4:3
        ((480, 720), Fraction(32, 27), (480, 853)),  # NTSC, 16:9
        ((1080, 1440), Fraction(4, 3), (1080, 1920)),  # HDV
        ((64, 48), Fraction(1), (64, 48)),
    ],
)
def test_square_pixels_keep_the_shape_that_players_show(
    stored: tuple[int, int], pixel: Fraction, seen: tuple[int, int]
) -> None:
    assert square_size(*stored, pixel) == seen


def disc(height: int, width: int, pixel: float) -> NDArray[np.uint8]:
    """A picture in which a round disc is stored with pixels of a shape."""
    y, x = np.mgrid[:height, :width]
    inside = ((x - width / 2) * pixel) ** 2 + (y - height / 2) ** 2 < 20**2
    return np.where(inside, 230, 20)[..., None].repeat(3, 2).astype(np.uint8)


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("pixel", [Fraction(64, 45), Fraction(8, 9), Fraction(1)])
def test_a_round_face_is_round_and_it_is_told(tmp_path: Path, pixel: Fraction, *, is_turned: bool) -> None:
    stored = disc(64, 96, float(pixel))
    path = write_clip(tmp_path / "disc.mp4", [(k / 25, stored) for k in range(5)], pixel=pixel)
    if is_turned:
        lay(path, 0, 1, -1, 0)
    source = open_source(path)
    seen_HW = source.reader().frame_at(0.0)[..., 0] > 0.5
    assert tuple(seen_HW.shape) == (source.height_px, source.width_px)
    high, wide = int(seen_HW.any(1).sum()), int(seen_HW.any(0).sum())
    assert abs(high - wide) <= 2, "round"
    told = [note for note in DubSource(source).notes(1) if "pixels" in note]
    if pixel == 1:
        assert told == []
        return
    (note,) = told
    size = f"{source.width_px}x{source.height_px}"
    assert note.startswith("source: the pixels of disc.mp4 are not square (")
    assert f"({pixel.numerator}:{pixel.denominator}); its frames are stretched to {size}, as players" in note


def test_a_shape_of_pixels_that_cannot_be_is_taken_as_square(tmp_path: Path) -> None:
    pictures = [(k / 25, corners()) for k in range(3)]
    source = open_source(write_clip(tmp_path / "odd.mp4", pictures, pixel=Fraction(100)))
    assert (source.pixel, source.width_px, source.height_px) == (1, 64, 32)
