"""What a run leaves when it is stopped, and that none of it is lost or in the way."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from evertalk_pack.multitalk.media.segment import Piece
from evertalk_pack.multitalk.runs import store as run_store
from evertalk_pack.multitalk.runs.identity import VideoForm
from toy_run import Stop, StopError, ToyRun


def test_settings_that_are_longer_than_a_manifest_may_hold_lose_no_window(tmp_path: Path) -> None:
    """Seeds for hundreds of windows stand among a run's settings as people read them."""

    def new_run() -> ToyRun:
        run = ToyRun(tmp_path)
        card = replace(
            run.card(), settings={"seed": ", ".join(f"{number}: 1234567" for number in range(900))}
        )
        run.card = lambda: card
        return run

    stopped = new_run()
    stopped.before_window = Stop(2)
    with pytest.raises(StopError):
        stopped.play()
    again = new_run()
    again.play()
    assert again.backend.sampled == [2, 3, 4]


def test_what_a_killed_machine_leaves_of_a_stopped_run_s_video_is_in_the_run_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the next run finds it; in the output folder nobody would know whose it is."""
    places: list[Path] = []
    make = run_store.make_video

    def watched(path: Path, pieces: Iterable[Piece], form: VideoForm, *, complete: bool) -> None:
        places.append(path)
        make(path, pieces, form, complete=complete)

    monkeypatch.setattr(run_store, "make_video", watched)
    run = ToyRun(tmp_path, before_window=Stop(2))
    with pytest.raises(StopError):
        run.play()
    assert run.store is not None
    assert run.store.incomplete is not None
    assert run.store.incomplete.parent == run.store.folder.parent
    assert [place.parent for place in places] == [run.store.folder]
    assert not list(run.store.folder.glob("incomplete*"))


def test_run_that_was_stopped_goes_on_the_next_day_and_its_video_is_found_on_the_third(
    tmp_path: Path,
) -> None:
    """The date is in the video's name alone."""
    stopped = ToyRun(tmp_path, final_prefix="2026-03-07/toy", before_window=Stop(2))
    with pytest.raises(StopError):
        stopped.play()
    next_day = ToyRun(tmp_path, final_prefix="2026-03-08/toy")
    video = next_day.play()
    assert next_day.backend.sampled == [2, 3, 4]
    assert video == tmp_path / "2026-03-08" / "toy_00001_.mp4"
    third_day = ToyRun(tmp_path, final_prefix="2026-03-09/toy")
    assert third_day.play() == video
    assert third_day.backend.sampled == []
    assert not (tmp_path / "2026-03-09").exists()
