from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.errors import RunStoreError
from evertalk_pack.multitalk.runs.overlap_file import (
    KEPT_BYTES,
    WindowOverlap,
    kept_carries,
    read_overlap,
    write_overlap,
)


def test_views_of_one_window_come_back_as_they_were(tmp_path: Path) -> None:
    """As a run hands them over: its motion frames, the last of which wait to be blended."""
    made = torch.rand(13, 4, 6, 3, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "c000000.safetensors"
    write_overlap(path, WindowOverlap(made[-5:], made[-3:]))
    carry = read_overlap(path, 5, (4, 6))
    assert carry.motion_FHWC is not None
    assert carry.held_FHWC is not None
    assert torch.equal(carry.motion_FHWC, made[-5:])
    assert torch.equal(carry.held_FHWC, made[-3:])
    assert carry.emitted is not None
    assert torch.equal(carry.emitted, made[-5:-3])


def test_what_was_found_of_attention_comes_back_by_itself_and_beside_frames(tmp_path: Path) -> None:
    found = torch.tensor([[0, 0, 1, 5, 0, 3, 2], [1, 0, 0, 0, 1, 1, 1]], dtype=torch.uint8)
    path = tmp_path / "c000000.safetensors"
    carry = WindowOverlap(attention=found)
    assert not carry.is_empty
    write_overlap(path, carry)
    read = read_overlap(path, 0, (4, 6))
    assert read.attention is not None
    assert torch.equal(read.attention, found)
    assert read.motion_FHWC is None
    write_overlap(path, WindowOverlap(torch.zeros(5, 4, 6, 3), None, found))
    assert read_overlap(path, 5, (4, 6)).attention is not None


@pytest.mark.parametrize(
    "found",
    [torch.zeros(2, 7), torch.zeros(7, dtype=torch.uint8), torch.zeros(2, 261, dtype=torch.uint8)],
    ids=["of another type", "of another form", "for more heads than a model has"],
)
def test_what_is_nothing_of_attention_is_refused(tmp_path: Path, found: torch.Tensor) -> None:
    path = tmp_path / "c000000.safetensors"
    write_overlap(path, WindowOverlap(attention=found))
    with pytest.raises(RunStoreError, match=r"c000000.safetensors holds \{'attention': "):
        read_overlap(path, 0, (4, 6))


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
