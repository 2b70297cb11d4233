"""A run that pauses between windows, and a window that is made again with another seed."""

from pathlib import Path

import pytest
from evertalk_pack.multitalk.media.video_reader import read_frames
from evertalk_pack.multitalk.runs.manifest import NAME, read_manifest
from evertalk_pack.multitalk.runs.pausing import Pausing, paused_text
from evertalk_pack.multitalk.runs.window_records import StoreRules
from evertalk_pack.multitalk.windows.seeds import WindowSeeds
from toy_run import ToyRun

WINDOWS = 5
"""Of a toy run of 60 frames, which begin at 0, 12, 24, ..."""

THIRD = WindowSeeds(((2, 99),))
NO_ROOM = StoreRules(carry_bytes=1)


def whole_run(folder: Path, seeds: WindowSeeds | None = None) -> bytes:
    """The video of a run that nobody disturbed."""
    folder.mkdir()
    return ToyRun(folder, window_seeds=seeds or WindowSeeds()).play().read_bytes()


@pytest.mark.parametrize("paused", [False, True])
def test_window_that_is_made_again_leaves_those_before_it_and_gives_the_bytes_of_a_run_from_scratch(
    tmp_path: Path, *, paused: bool
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    ToyRun(output, pausing=Pausing(3 if paused else 0)).play()
    again = ToyRun(output, window_seeds=THIRD)
    video = again.play()
    assert again.backend.sampled == [2, 3, 4]
    assert video.read_bytes() == whole_run(tmp_path / "scratch", THIRD)
    assert f"resumed: 2 of {WINDOWS} windows were finished by toy_r" in again.said[0]
    assert "the same up to there" in again.said[0]


def test_second_window_is_made_again_after_the_third_was(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    ToyRun(output).play()
    ToyRun(output, window_seeds=THIRD).play()
    both = WindowSeeds(((1, 7), (2, 99)))
    again = ToyRun(output, window_seeds=both)
    assert again.play().read_bytes() == whole_run(tmp_path / "scratch", both)
    assert again.backend.sampled == [1, 2, 3, 4]


def test_seed_that_was_tried_before_is_found_again(tmp_path: Path) -> None:
    first = ToyRun(tmp_path).play()
    ToyRun(tmp_path, window_seeds=THIRD).play()
    back = ToyRun(tmp_path)
    assert back.play() == first
    assert back.backend.sampled == []


def test_frames_before_the_window_are_those_of_the_first_run(tmp_path: Path) -> None:
    first = read_frames(ToyRun(tmp_path).play())
    other = read_frames(ToyRun(tmp_path, window_seeds=THIRD).play())
    assert first[:29].equal(other[:29])
    assert not first[29:].equal(other[29:])


def test_where_motion_frames_were_dropped_a_few_windows_are_made_once_more(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    ToyRun(output, rules=NO_ROOM).play()
    again = ToyRun(output, window_seeds=THIRD, rules=NO_ROOM)
    assert again.play().read_bytes() == whole_run(tmp_path / "scratch", THIRD)
    assert again.backend.sampled == [0, 1, 2, 3, 4]


def test_motion_frames_that_would_fill_the_disk_are_deleted(tmp_path: Path) -> None:
    run = ToyRun(tmp_path, rules=NO_ROOM)
    run.play()
    assert run.store is not None
    kept = sorted(file.name for file in run.store.folder.glob("c*.safetensors"))
    assert kept == ["c000003.safetensors"], "the last window carries nothing on"
    named = [window.carry is not None for window in read_manifest(run.store.folder / NAME).windows]
    assert named == [False, False, False, True, False]


def test_run_pauses_behind_every_second_window_and_ends_as_if_it_had_not(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    made: list[list[int]] = []
    videos: list[Path] = []
    for _ in range(3):
        run = ToyRun(output, pausing=Pausing(2))
        videos.append(run.play())
        made.append(run.backend.sampled)
    assert made == [[0, 1], [2, 3], [4]]
    assert videos[-1].read_bytes() == whole_run(tmp_path / "scratch")


def test_paused_run_has_a_playable_video_of_its_finished_windows(tmp_path: Path) -> None:
    video = ToyRun(tmp_path, pausing=Pausing(2)).play()
    assert video.name.endswith("_incomplete.mp4")
    assert len(read_frames(video)) == 17 + 12


def test_run_that_is_asked_to_pauses_behind_the_window_that_is_made(tmp_path: Path) -> None:
    pausing = Pausing()

    def ask(index: int) -> None:
        if index == 1:
            pausing.ask()

    run = ToyRun(tmp_path, pausing=pausing, before_window=ask)
    run.play()
    assert run.backend.sampled == [0, 1]


def test_pauses_fall_on_the_same_windows_however_a_run_went_on() -> None:
    pausing = Pausing(3)
    assert [index for index in range(9) if pausing.is_due(index)] == [2, 5, 8]
    assert not any(Pausing().is_due(index) for index in range(9))
    assert paused_text(3, 7) == "paused after window 3 of 7; queue again to go on"
