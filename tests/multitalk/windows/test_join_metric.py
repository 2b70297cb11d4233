import pytest
import torch
from evertalk_pack.multitalk.windows.join_metric import (
    NEIGHBOURS,
    STILL_CHANGE,
    Seam,
    blend_overlap,
    frame_changes,
    seam_between,
)


def ramp(start: float, frames: int, step: float) -> torch.Tensor:
    values = start + step * torch.arange(frames, dtype=torch.float32)
    return values[:, None, None, None].expand(frames, 4, 6, 3)


def seam_of(before: torch.Tensor, after: torch.Tensor, neighbours: int = NEIGHBOURS) -> Seam:
    return seam_between(before[-1], frame_changes(before[-neighbours:]), after)


def test_a_join_that_goes_on_evenly_has_figure_one() -> None:
    video = ramp(0.1, 20, 0.02)
    seam = seam_of(video[:10], video[10:])
    assert seam.figure == pytest.approx(1, rel=1e-4)
    assert seam.ordinary == pytest.approx(0.02, rel=1e-4)


def test_a_jump_counts_in_units_of_the_ordinary_change() -> None:
    assert seam_of(ramp(0.1, 10, 0.01), ramp(0.25, 10, 0.01)).figure == pytest.approx(6, rel=1e-3)


def test_only_the_neighbouring_frames_are_ordinary() -> None:
    lively = torch.cat([ramp(0.9, 5, -0.2), ramp(0.1, 4, 0.01)])
    assert seam_of(lively, ramp(0.14, 4, 0.01), neighbours=4).ordinary == pytest.approx(0.01, rel=1e-3)


def test_a_motionless_video_has_a_finite_figure() -> None:
    still = ramp(0.5, 8, 0)
    assert seam_of(still, still).figure == 0
    assert seam_of(still, still + 0.1).figure == pytest.approx(0.1 / STILL_CHANGE, rel=1e-4)


def test_one_frame_on_one_side_is_enough() -> None:
    video = ramp(0.1, 6, 0.02)
    assert seam_of(video[:1], video[1:]).figure == pytest.approx(1, rel=1e-4)


def test_a_join_of_single_frames_has_nothing_to_compare_with() -> None:
    with pytest.raises(AssertionError, match="no ordinary change"):
        seam_of(ramp(0, 1, 0), ramp(0, 1, 0))


def test_blend_goes_linearly_from_one_window_to_the_next_over_the_last_frames() -> None:
    blended = blend_overlap(ramp(0, 5, 0), ramp(1, 5, 0), frames=3)
    torch.testing.assert_close(blended[:, 0, 0, 0], torch.tensor([0.0, 0.0, 0.25, 0.5, 0.75]))


def test_blend_of_equal_frames_and_of_no_frames_changes_nothing() -> None:
    frames = torch.rand(5, 4, 6, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(blend_overlap(frames, frames, frames=5), frames)
    assert torch.equal(blend_overlap(frames, 1 - frames, frames=0), frames)


def test_blend_refuses_more_frames_than_the_overlap_and_unequal_overlaps() -> None:
    with pytest.raises(AssertionError, match="6 frames of an overlap of 5"):
        blend_overlap(ramp(0, 5, 0), ramp(1, 5, 0), frames=6)
    with pytest.raises(AssertionError, match="same frames twice"):
        blend_overlap(ramp(0, 5, 0), ramp(1, 4, 0), frames=2)
