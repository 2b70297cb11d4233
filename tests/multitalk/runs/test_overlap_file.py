from pathlib import Path

import torch
from evertalk_pack.multitalk.runs.overlap_file import WindowOverlap, read_overlap, write_overlap


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
