"""Whoever runs the store is told of each window once it is on the disk."""

from pathlib import Path

import pytest
from evertalk_pack.multitalk.media.segment import check_frames
from evertalk_pack.multitalk.runs.manifest import WindowRecord
from toy_run import ToyRun


class Told:
    """Notes the windows it is told of; each one's part of the video can be read at that moment."""

    def __init__(self) -> None:
        self.windows: list[int] = []

    def __call__(self, record: WindowRecord, segment: Path | None) -> None:
        assert segment is not None
        check_frames(segment, record.frames)
        self.windows.append(record.index)


class StopError(Exception):
    """Stands for whatever ends a run early."""


def stop_at_three(window: int) -> None:
    if window == 3:
        raise StopError


def test_each_window_is_told_once_its_part_can_be_read(tmp_path: Path) -> None:
    told = Told()
    ToyRun(tmp_path, written=told).play()
    assert told.windows == [0, 1, 2, 3, 4]


def test_what_can_be_played_is_at_most_one_window_behind(tmp_path: Path) -> None:
    told = Told()
    behind: list[int] = []

    def look(window: int) -> None:
        behind.append(window - len(told.windows))

    ToyRun(tmp_path, written=told, before_window=look).play()
    assert len(behind) == 5
    assert max(behind) <= 1, "when a window begins, all but the one before it can be played"


def test_run_that_goes_on_tells_of_earlier_windows_when_it_is_asked(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        ToyRun(tmp_path, before_window=stop_at_three).play()
    told = Told()
    with ToyRun(tmp_path, written=told).new_store() as store:
        assert told.windows == []
        store.tell_finished()
    assert told.windows == [0, 1, 2]


def test_store_that_tells_nobody_keeps_its_windows_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        ToyRun(tmp_path, before_window=stop_at_three).play()
    with ToyRun(tmp_path).new_store() as store:
        store.tell_finished()
        assert store.first == 3
