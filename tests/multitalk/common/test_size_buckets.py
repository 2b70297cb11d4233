import pytest
from evertalk_pack.multitalk.common.size_buckets import BUCKETS, Resolution, bucket_for, cover_crop
from evertalk_pack.wanvideo.geometry import SIZE_MULTIPLE
from hypothesis import given
from hypothesis import strategies as st

sides = st.integers(1, 5000)
targets = st.integers(1, 80).map(lambda tokens: tokens * SIZE_MULTIPLE)


def test_all_sizes_are_whole_tokens() -> None:
    assert all(side % SIZE_MULTIPLE == 0 for sizes in BUCKETS.values() for size in sizes for side in size)
    assert [len(sizes) for sizes in BUCKETS.values()] == [15, 21]


@pytest.mark.parametrize("resolution", BUCKETS)
def test_tables_go_from_wide_to_tall(resolution: Resolution) -> None:
    ratios = [size.height_px / size.width_px for size in BUCKETS[resolution]]
    assert ratios == sorted(set(ratios))


@pytest.mark.parametrize("resolution", BUCKETS)
def test_a_size_of_the_table_is_its_own_bucket(resolution: Resolution) -> None:
    assert [bucket_for(*size, resolution) for size in BUCKETS[resolution]] == list(BUCKETS[resolution])


@pytest.mark.parametrize(
    ("height_px", "width_px", "resolution", "expected"),
    [
        (1024, 1024, "480p", (640, 640)),
        (1080, 1920, "480p", (448, 896)),
        (1080, 1920, "720p", (704, 1280)),
        (1920, 1080, "480p", (832, 448)),
        (3000, 100, "480p", (1280, 320)),
        (100, 3000, "720p", (448, 2048)),
    ],
)
def test_a_picture_gets_the_bucket_of_the_nearest_shape(
    height_px: int, width_px: int, resolution: Resolution, expected: tuple[int, int]
) -> None:
    assert bucket_for(height_px, width_px, resolution) == expected


@given(height_px=sides, width_px=sides, factor=st.integers(2, 9))
def test_the_bucket_depends_on_the_shape_and_not_the_size(height_px: int, width_px: int, factor: int) -> None:
    assert bucket_for(height_px * factor, width_px * factor, "480p") == bucket_for(
        height_px, width_px, "480p"
    )


@given(source=st.tuples(sides, sides), target=st.tuples(targets, targets))
def test_the_resized_picture_covers_the_target_and_the_crop_lies_in_its_middle(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    crop = cover_crop(*source, *target)
    spare_height, spare_width = crop.scaled_height_px - target[0], crop.scaled_width_px - target[1]
    assert min(spare_height, spare_width) in (0, 1)  # one side fits, but for the rounding up
    assert abs(crop.top_px * 2 - spare_height) <= 1
    assert abs(crop.left_px * 2 - spare_width) <= 1
    assert spare_height >= crop.top_px >= 0
    assert spare_width >= crop.left_px >= 0


def test_a_picture_of_the_target_size_is_left_as_it_is() -> None:
    assert cover_crop(480, 832, 480, 832) == (480, 832, 0, 0, 480, 832)


def test_a_wide_picture_loses_its_sides() -> None:
    assert cover_crop(100, 400, 64, 64) == (64, 256, 0, 96, 64, 64)
