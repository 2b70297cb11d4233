"""Colour on the run's device: the same as in one piece."""

from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.windows.colour import ColourMethod, match_colour
from evertalk_pack.multitalk.windows.finish import LookSettings
from evertalk_pack.multitalk.windows.plan import Window

pytestmark = pytest.mark.host

GENERATOR = torch.Generator().manual_seed(2)
FRAMES = torch.rand((9, 12, 20, 3), generator=GENERATOR)
WINDOW = Window(0, 0, 9, 0, 9)
REFERENCE = torch.rand((12, 20, 3), generator=GENERATOR) ** 2


@pytest.mark.parametrize("method", list(ColourMethod))
def test_finish_matches_each_frame_to_the_first_picture_piece_by_piece(
    method: ColourMethod, comfyui: Path
) -> None:
    del comfyui
    from evertalk_pack.nodes.host.sampling.colour_match import finishing

    expected = match_colour(FRAMES, REFERENCE, 0.7, method)
    look = LookSettings(method, colour_strength=0.7)
    finish = finishing(look, lambda: REFERENCE, chunk_pixels=3 * 240)
    frames = FRAMES.clone()
    # Sums are taken in another order in smaller pieces.
    torch.testing.assert_close(finish(WINDOW, frames), expected, atol=1e-6, rtol=0)
    assert finish(WINDOW, frames) is frames, "a second window of frames may not fit into memory"
    assert (expected - FRAMES).abs().max() > 0.05


@pytest.mark.parametrize("look", [LookSettings(), LookSettings(ColourMethod.LAB, colour_strength=0)])
def test_without_a_match_frames_pass_untouched(look: LookSettings) -> None:
    from evertalk_pack.nodes.host.sampling.colour_match import finishing

    assert finishing(look, lambda: REFERENCE)(WINDOW, FRAMES) is FRAMES
