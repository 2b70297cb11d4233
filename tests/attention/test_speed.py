"""The choice among measured times."""

import pytest
from evertalk_pack.attention.speed import pick_fastest


@pytest.mark.parametrize(
    ("cudnn_ms", "expected"), [(10.0, "sdpa"), (9.8, "sdpa"), (9.6, "cudnn"), (11.0, "sdpa")]
)
def test_an_earlier_name_keeps_its_place_unless_beaten_by_over_three_percent(
    cudnn_ms: float, expected: str
) -> None:
    assert pick_fastest([("sdpa", 10.0), ("cudnn", cudnn_ms)]) == expected


def test_each_name_must_beat_the_best_before_it() -> None:
    assert (
        pick_fastest([("sdpa", 10.0), ("cudnn", 9.0), ("flash_attn_2", 8.9), ("flash_attn_3", 7.0)])
        == "flash_attn_3"
    )
    assert pick_fastest([("sdpa", 10.0), ("cudnn", 9.0), ("flash_attn_2", 8.9)]) == "cudnn"
