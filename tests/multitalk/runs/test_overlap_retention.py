"""Motion frames that stay on the disk."""

import pytest
from evertalk_pack.multitalk.runs.overlap_retention import KEPT_BYTES, kept_carries


def test_all_are_kept_while_there_is_room() -> None:
    assert kept_carries(12, KEPT_BYTES // 12) == frozenset(range(12))


@pytest.mark.parametrize("room", [1, 2, 5, 12])
def test_long_runs_keep_few_that_are_evenly_spaced_and_never_ask_for_a_dropped_one(room: int) -> None:
    kept = frozenset[int]()
    for finished in range(1, 300):
        now = kept_carries(finished, KEPT_BYTES // room)
        assert now <= kept | {finished - 1}
        assert {finished - 1, max(0, finished - 2)} <= now
        assert len(now) <= room + 2
        gaps = [after - before for before, after in zip(sorted(now), sorted(now)[1:], strict=False)]
        assert max(gaps, default=1) <= max(1, 2 * finished // room)
        kept = now


def test_windows_that_somebody_looks_at_are_kept_in_any_case() -> None:
    assert kept_carries(20, KEPT_BYTES, last=5) == {15, 16, 17, 18, 19}
    assert kept_carries(3, KEPT_BYTES, last=5) == {0, 1, 2}
