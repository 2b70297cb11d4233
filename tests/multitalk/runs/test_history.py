"""Figures of earlier runs, from the manifests that they left."""

from dataclasses import replace
from pathlib import Path

import pytest
from evertalk_pack.multitalk.common.safe_path import checked_prefix
from evertalk_pack.multitalk.runs.folder import RunPlace
from evertalk_pack.multitalk.runs.history import RunMarks, past_of
from evertalk_pack.multitalk.runs.manifest import NAME, read_manifest
from evertalk_pack.multitalk.runs.pausing import Pausing
from evertalk_pack.multitalk.runs.preflight import Past
from evertalk_pack.multitalk.runs.window_records import store_manifest
from toy_run import ToyRun

MARKS = RunMarks("a GPU, 64x64", "64x64", "0" * 32)


def place_in(output: Path, name: str = "EverTalk/toy") -> RunPlace:
    prefix = checked_prefix(name, output)
    return RunPlace(output, prefix, prefix)


def marked_run(output: Path, marks: RunMarks, pause_after: int = 0, seed: int = 0) -> ToyRun:
    """A run whose manifest names what it may be compared by."""
    run = ToyRun(output, pausing=Pausing(pause_after), seed=seed)
    run.play()
    assert run.store is not None
    manifest = read_manifest(run.store.folder / NAME)
    store_manifest(run.store.folder, replace(manifest, settings=marks.settings()))
    return run


def test_nothing_is_known_at_first(tmp_path: Path) -> None:
    assert past_of(place_in(tmp_path), MARKS) == (Past(), 0)


def test_windows_of_the_same_pace_give_seconds_but_for_the_first_which_loads(tmp_path: Path) -> None:
    marked_run(tmp_path, MARKS)
    past, finished = past_of(place_in(tmp_path), MARKS)
    assert past.window_seconds == (0.5,) * 4
    assert past.bytes_per_frame is not None
    assert past.bytes_per_frame > 100
    assert finished == 5


def test_other_pace_other_picture_and_other_requests_do_not_count(tmp_path: Path) -> None:
    marked_run(tmp_path, MARKS)
    other = RunMarks("another GPU, 64x64", "128x64", "1" * 32)
    assert past_of(place_in(tmp_path), other) == (Past(), 0)


def test_paused_run_counts_its_finished_windows(tmp_path: Path) -> None:
    marked_run(tmp_path, MARKS, pause_after=2)
    assert past_of(place_in(tmp_path), MARKS)[1] == 2


@pytest.mark.parametrize("name", ["EverTalk/to", "EverTalk/toy_r", "EverTalk/toys"])
def test_windows_of_another_prefix_are_not_finished_ones_but_tell_the_pace(tmp_path: Path, name: str) -> None:
    marked_run(tmp_path, MARKS)
    past, finished = past_of(place_in(tmp_path, name), MARKS)
    assert finished == 0
    assert past.window_seconds == (0.5,) * 4


def test_run_whose_video_was_deleted_has_nothing_finished(tmp_path: Path) -> None:
    run = marked_run(tmp_path, MARKS)
    assert run.store is not None
    assert run.store.final is not None
    run.store.final.unlink()
    past, finished = past_of(place_in(tmp_path), MARKS)
    assert finished == 0
    assert past.window_seconds, "its times are still true"


def test_damaged_and_very_long_manifests_are_passed_over(tmp_path: Path) -> None:
    run = marked_run(tmp_path, MARKS)
    assert run.store is not None
    for name, content in (("torn", b"{"), ("long", b" " * 1_000_001)):
        folder = run.store.folder.with_name(f"{name}_r0.run")
        folder.mkdir()
        (folder / NAME).write_bytes(content)
    assert past_of(place_in(tmp_path), MARKS)[1] == 5
