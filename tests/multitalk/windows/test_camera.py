from itertools import pairwise

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.windows.camera import (
    CameraMove,
    View,
    crop_resize,
    progress_at,
    resampling,
    view_at,
)
from hypothesis import given
from hypothesis import strategies as st

TALL_PX, WIDE_PX = 900, 1600


def gradient(height_px: int, width_px: int) -> torch.Tensor:
    """A picture whose red is the place in x and whose green is the place in y, both 0..1."""
    across = (torch.arange(width_px) + 0.5) / width_px
    down = (torch.arange(height_px) + 0.5) / height_px
    red, green = across.expand(height_px, -1), down[:, None].expand(-1, width_px)
    return torch.stack((red, green, torch.zeros_like(red)), dim=-1)


@given(
    zoom=st.floats(0.25, 4),
    pan_x=st.floats(-50, 50),
    pan_y=st.floats(-50, 50),
    progress=st.floats(0, 1),
    aspect=st.floats(0.3, 3),
)
def test_view_stays_in_the_picture_and_has_the_shape_of_the_video(
    zoom: float, pan_x: float, pan_y: float, progress: float, aspect: float
) -> None:
    view = view_at(CameraMove(zoom, pan_x, pan_y), progress, TALL_PX, WIDE_PX, aspect)
    assert view.height_px == pytest.approx(view.width_px * aspect)
    assert view.top_px >= -1e-6
    assert view.left_px >= -1e-6
    assert view.top_px + view.height_px <= TALL_PX + 1e-6
    assert view.left_px + view.width_px <= WIDE_PX + 1e-6


def test_still_view_is_the_largest_centre_crop() -> None:
    assert view_at(CameraMove(), 0.7, TALL_PX, WIDE_PX, 1.0) == View(0.0, 350.0, 900.0, 900.0)


def test_zoom_begins_with_everything_and_ends_so_many_times_closer() -> None:
    move = CameraMove(zoom=1.25)
    assert view_at(move, 0, TALL_PX, WIDE_PX, 1.0).width_px == 900
    assert view_at(move, 1, TALL_PX, WIDE_PX, 1.0).width_px == pytest.approx(720)


def test_zoom_below_one_ends_with_everything() -> None:
    move = CameraMove(zoom=0.8)
    assert view_at(move, 0, TALL_PX, WIDE_PX, 1.0).width_px == pytest.approx(720)
    assert view_at(move, 1, TALL_PX, WIDE_PX, 1.0).width_px == 900


def test_zoom_is_as_fast_at_the_end_as_at_the_beginning() -> None:
    widths = [view_at(CameraMove(zoom=2), step / 4, 100, 100, 1.0).width_px for step in range(5)]
    assert [after / before for before, after in pairwise(widths)] == pytest.approx([2**-0.25] * 4)


def test_pan_moves_the_centre_by_its_percentage_to_the_right_and_down() -> None:
    move = CameraMove(pan_x_percent=20, pan_y_percent=10)
    begin, end = (view_at(move, progress, TALL_PX, WIDE_PX, 0.5) for progress in (0, 1))
    assert end.left_px - begin.left_px == pytest.approx(0.2 * WIDE_PX)
    assert end.top_px - begin.top_px == pytest.approx(0.1 * TALL_PX)
    assert (begin.height_px, begin.width_px) == (end.height_px, end.width_px)


def test_shoot_of_the_whole_picture_at_its_size_is_the_picture() -> None:
    picture = torch.rand((24, 32, 3), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(crop_resize(picture, View(0, 0, 24, 32), 24, 32), picture, atol=1e-6, rtol=0)


def test_shoot_moves_by_fractions_of_a_pixel() -> None:
    picture = gradient(64, 64)
    views = [crop_resize(picture, View(16, 16 + step / 4, 32, 32), 16, 16)[8, 8, 0] for step in range(5)]
    steps = torch.stack(views).diff()
    torch.testing.assert_close(steps, torch.full((4,), 0.25 / 64), atol=0, rtol=0.02)


def test_shoot_averages_detail_that_is_finer_than_the_video() -> None:
    board = (torch.arange(256)[:, None] + torch.arange(256)) % 2
    shot = crop_resize(board[..., None].expand(-1, -1, 3).float(), View(0, 0, 256, 256), 16, 16)
    torch.testing.assert_close(shot, torch.full((16, 16, 3), 0.5), atol=0.02, rtol=0)


def test_resampling_keeps_a_flat_picture_flat_up_to_its_edges() -> None:
    torch.testing.assert_close(resampling(0, 10, 10, 7).sum(dim=1), torch.ones(7))


@pytest.mark.parametrize("zoom", [0.1, 5.0, float("nan")])
def test_zoom_beyond_its_range_is_refused(zoom: float) -> None:
    with pytest.raises(InputError, match=r"zoom is .*; give 0.25 to 4"):
        CameraMove(zoom=zoom)


def test_pan_beyond_half_the_picture_is_refused() -> None:
    with pytest.raises(InputError, match=r"pan_x is 60 percent of the picture; give -50 to 50"):
        CameraMove(pan_x_percent=60)
    with pytest.raises(InputError, match=r"pan_y is -51 percent"):
        CameraMove(pan_y_percent=-51)


def test_progress_is_a_share_of_the_video() -> None:
    assert [progress_at(time_s, 4) for time_s in (0, 1, 4, 5)] == [0, 0.25, 1, 1]
