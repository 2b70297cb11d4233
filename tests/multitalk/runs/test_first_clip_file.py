"""The stills that windows end on: kept whole, found again by what they are made of, and never half."""

from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.safe_path import Prefix
from evertalk_pack.multitalk.runs.first_clip_file import (
    FirstClipFile,
    clip_path,
    find_first_clip,
    keep_first_clip,
)
from evertalk_pack.multitalk.runs.folder import RunPlace
from evertalk_pack.multitalk.runs.identity import Resume
from safetensors.torch import save_file
from toy_run import ToyRun

KEY, OTHER_KEY = "a" * 32, "a" * 10 + "b" * 22
"""Two keys whose files have the same name."""

WANTED = (2, 7, 12)
SIZE = (4, 6)


@pytest.fixture
def place(tmp_path: Path) -> RunPlace:
    """A place with the folders of two runs."""
    for name in ("talk_r1.run", "talk_r2.run"):
        (tmp_path / name).mkdir()
    prefix = Prefix(tmp_path, "talk")
    return RunPlace(tmp_path, prefix, prefix)


def clip() -> torch.Tensor:
    return torch.rand(13, *SIZE, 3, generator=torch.Generator().manual_seed(0))


def found(place: RunPlace, name: str = "talk_r1.run", key: str = KEY) -> FirstClipFile | None:
    return find_first_clip(place, place.root / name, key, WANTED, SIZE)


def test_the_wanted_frames_come_back_as_they_were(place: RunPlace) -> None:
    assert found(place) is None
    made_FHWC = clip()
    kept = keep_first_clip(place.root / "talk_r1.run", KEY, WANTED, made_FHWC)
    again = found(place)
    assert again == kept
    assert all(torch.equal(kept(frame), made_FHWC[frame]) for frame in WANTED)


def test_another_run_with_the_same_clip_takes_it_over(place: RunPlace) -> None:
    kept = keep_first_clip(place.root / "talk_r1.run", KEY, WANTED, clip())
    taken = found(place, "talk_r2.run")
    assert taken is not None
    assert taken.path.parent.name == "talk_r2.run"
    assert torch.equal(taken(7), kept(7))


def test_what_is_damaged_foreign_or_of_another_clip_is_not_taken(place: RunPlace) -> None:
    folder = place.root / "talk_r1.run"
    path = clip_path(folder, KEY)
    keep_first_clip(folder, KEY, WANTED, clip())
    assert found(place, key=OTHER_KEY) is None
    assert find_first_clip(place, folder, KEY, WANTED[:2], SIZE) is None
    assert find_first_clip(place, folder, KEY, WANTED, (6, 4)) is None
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert found(place) is None
    path.write_bytes(whole[:100])
    assert found(place) is None
    save_file({"stills_NHWC": torch.zeros(3, *SIZE, 3)}, path)
    assert found(place) is None
    path.write_bytes(whole)
    assert found(place) is not None


def test_a_run_that_begins_again_makes_its_clip_again(tmp_path: Path) -> None:
    made_FHWC = torch.rand(3, 64, 64, 3)
    with ToyRun(tmp_path).new_store() as store:
        assert store.first_clip((0, 2)) is None
        kept = store.keep_first_clip((0, 2), made_FHWC)
        assert torch.equal(kept(2), made_FHWC[2])
    with ToyRun(tmp_path).new_store() as store:
        assert store.first_clip((0, 2)) == kept
    with ToyRun(tmp_path, resume=Resume.RESTART).new_store() as store:
        assert store.first_clip((0, 2)) is None
