import pytest
from evertalk_pack.wanvideo.geometry import LatentShape, latent_frames, pixel_frames, snap_frames, snap_size


@pytest.mark.parametrize(("pixels", "latents"), [(1, 1), (4, 1), (5, 2), (9, 3), (80, 20), (81, 21)])
def test_the_first_frame_stands_alone_and_each_latent_takes_four_more(pixels: int, latents: int) -> None:
    assert latent_frames(pixels) == latents


@pytest.mark.parametrize("frames", range(1, 100, 4))
def test_frames_of_the_form_4n_plus_1_survive_the_way_to_latents_and_back(frames: int) -> None:
    assert pixel_frames(latent_frames(frames)) == frames


@pytest.mark.parametrize(("asked", "used"), [(-3, 1), (0, 1), (1, 1), (4, 1), (8, 5), (81, 81), (84, 81)])
def test_frames_snap_down(asked: int, used: int) -> None:
    assert snap_frames(asked) == used


@pytest.mark.parametrize(
    ("asked", "used"), [(1, 16), (16, 16), (23, 16), (24, 16), (25, 32), (40, 32), (41, 48), (830, 832)]
)
def test_sizes_snap_to_the_nearest_and_a_tie_goes_down(asked: int, used: int) -> None:
    assert snap_size(asked) == used


def test_latent_grid_of_a_window() -> None:
    assert LatentShape.of_video(81, 480, 832) == (21, 60, 104)
