"""Any run that is stopped and queued again gives the same bytes, and makes no finished window again."""

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import av
import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError, RunStoreError
from evertalk_pack.multitalk.media.video_reader import read_frames
from evertalk_pack.multitalk.runs.identity import Resume
from evertalk_pack.multitalk.runs.manifest import NAME, WindowStats
from evertalk_pack.multitalk.runs.overlap_file import WindowOverlap
from evertalk_pack.multitalk.windows.loop import generate
from toy_run import SIZE, Stop, StopError, ToyBackend, ToyRun

WINDOWS = 5
"""Of a toy run of 60 frames."""


def run_to_the_end(output: Path, **changes: object) -> bytes:
    output.mkdir(exist_ok=True)
    return ToyRun(output, **changes).play().read_bytes()  # pyright: ignore[reportArgumentType]


def stopped_run(output: Path, index: int) -> ToyRun:
    run = ToyRun(output, before_window=Stop(index))
    with pytest.raises(StopError):
        run.play()
    return run


def counted(path: Path) -> tuple[int, float]:
    """Video frames, and seconds of sound."""
    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        return frames, samples / container.streams.audio[0].rate


def test_loop_that_begins_in_the_middle_gives_the_same_frames(tmp_path: Path) -> None:
    run = ToyRun(tmp_path)
    whole = list(generate(run.spec(), ToyBackend()))
    later = list(generate(run.spec(), ToyBackend(), 3, whole[2].motion_FHWC))
    assert [window.window.index for window in later] == [3, 4]
    for expected, found in zip(whole[3:], later, strict=True):
        assert torch.equal(expected.frames_FHWC, found.frames_FHWC)


@pytest.mark.parametrize("index", range(1, WINDOWS))
def test_stopped_run_goes_on_where_it_was_and_gives_the_same_bytes(tmp_path: Path, index: int) -> None:
    expected = run_to_the_end(tmp_path / "whole")
    stopped_run(tmp_path, index)
    again = ToyRun(tmp_path)
    assert again.play().read_bytes() == expected
    assert again.backend.sampled == list(range(index, WINDOWS))
    assert again.said == [f"resumed: {index} of {WINDOWS} windows were finished"]


def test_stopped_run_leaves_a_playable_video_with_sound_of_its_finished_windows(tmp_path: Path) -> None:
    run = stopped_run(tmp_path, 3)
    assert run.store is not None
    assert run.store.incomplete is not None
    frames, sound_s = counted(run.store.incomplete)
    assert frames == 17 + 12 + 12
    assert sound_s == pytest.approx(frames / 25, abs=0.1)
    whole = read_frames(ToyRun(tmp_path).play())
    assert torch.equal(read_frames(run.store.incomplete), whole[:frames])


def test_run_that_is_stopped_before_its_first_window_leaves_no_video(tmp_path: Path) -> None:
    stopped_run(tmp_path, 0)
    assert list(tmp_path.rglob("*.mp4")) == []


def test_only_finished_makes_no_window(tmp_path: Path) -> None:
    stopped_run(tmp_path, 2)
    run = ToyRun(tmp_path, resume=Resume.ONLY_FINISHED)
    path = run.play()
    assert path.name.endswith("_incomplete.mp4")
    assert counted(path)[0] == 17 + 12
    assert run.backend.sampled == []


def test_only_finished_without_a_finished_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no window of this run has finished"):
        ToyRun(tmp_path, resume=Resume.ONLY_FINISHED).play()


def test_restart_makes_every_window_again(tmp_path: Path) -> None:
    stopped_run(tmp_path, 3)
    run = ToyRun(tmp_path, resume=Resume.RESTART)
    run.play()
    assert run.backend.sampled == list(range(WINDOWS))


def test_finished_run_is_found_again_and_its_segments_are_gone(tmp_path: Path) -> None:
    first = ToyRun(tmp_path)
    path = first.play()
    assert first.store is not None
    assert sorted(file.name for file in first.store.folder.iterdir()) == [
        *(f"c{index:06}.safetensors" for index in range(WINDOWS - 1)),
        "manifest.json",
    ]
    again = ToyRun(tmp_path)
    assert again.play() == path
    assert again.backend.sampled == []
    assert again.said == [f"all {WINDOWS} windows were finished; the video is {path}"]
    assert again.store is not None
    assert len(again.store.stats) == WINDOWS


def test_finished_video_that_was_changed_is_left_alone_and_made_anew(tmp_path: Path) -> None:
    path = ToyRun(tmp_path).play()
    expected = path.read_bytes()
    path.write_bytes(b"cut by hand")
    again = ToyRun(tmp_path)
    assert again.play().read_bytes() == expected
    assert path.read_bytes() == b"cut by hand"
    assert again.said == [
        f"the finished video EverTalk/{path.name} is gone or was changed: the run starts over"
    ]


def test_other_settings_are_another_run(tmp_path: Path) -> None:
    stopped_run(tmp_path, 3)
    other = ToyRun(tmp_path, seed=1)
    other.play()
    assert other.backend.sampled == list(range(WINDOWS))
    assert other.said == []


def test_runs_of_one_prefix_get_names_of_their_own(tmp_path: Path) -> None:
    runs = [ToyRun(tmp_path, seed=seed) for seed in range(3)]
    threads = [threading.Thread(target=run.play) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = sorted(file.name for file in (tmp_path / "EverTalk").glob("*.mp4"))
    assert names == ["toy_00001_.mp4", "toy_00002_.mp4", "toy_00003_.mp4"]
    for run in runs:
        assert run.play().read_bytes() == run_to_the_end(tmp_path / f"alone{run.seed}", seed=run.seed)


@pytest.mark.parametrize("finished", [True, False])
def test_longer_sound_takes_over_the_windows_that_heard_the_same(tmp_path: Path, *, finished: bool) -> None:
    if finished:
        ToyRun(tmp_path).play()
    else:
        stopped_run(tmp_path, 4)
    longer = ToyRun(tmp_path, frames=100)
    path = longer.play()
    assert longer.backend.sampled == [4, 5, 6, 7]  # the fifth window of the shorter run hears past its end
    assert "resumed: 4 of 8 windows were finished by toy_r" in longer.said[0]
    run_to_the_end(tmp_path / "whole", frames=100)
    whole = read_frames(tmp_path / "whole" / "EverTalk" / "toy_00001_.mp4")
    assert torch.equal(read_frames(path), whole)


def test_video_of_windows_that_were_taken_over_from_segments_has_the_same_bytes(tmp_path: Path) -> None:
    stopped_run(tmp_path, 4)
    longer = ToyRun(tmp_path, frames=100).play()
    assert longer.read_bytes() == run_to_the_end(tmp_path / "whole", frames=100)


@pytest.mark.parametrize("damaged", range(4))
def test_damaged_segment_costs_its_window_and_those_behind_it(tmp_path: Path, damaged: int) -> None:
    expected = run_to_the_end(tmp_path / "whole")
    run = stopped_run(tmp_path, 4)
    assert run.store is not None
    segment = run.store.folder / f"w{damaged:06}.mp4"
    segment.write_bytes(segment.read_bytes()[:-9] + b"123456789")
    again = ToyRun(tmp_path)
    assert again.play().read_bytes() == expected
    assert again.backend.sampled == list(range(damaged, WINDOWS))
    assert f"{4 - damaged} of 4 finished windows are damaged" in again.said[0]


def test_damaged_motion_frames_cost_one_window(tmp_path: Path) -> None:
    expected = run_to_the_end(tmp_path / "whole")
    run = stopped_run(tmp_path, 3)
    assert run.store is not None
    (run.store.folder / "c000002.safetensors").write_bytes(b"\xff" * 100)
    again = ToyRun(tmp_path)
    assert again.play().read_bytes() == expected
    assert again.backend.sampled == [2, 3, 4]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"format": 1}', b"\0" * 4096])
def test_torn_manifest_is_set_aside(tmp_path: Path, content: bytes) -> None:
    run = stopped_run(tmp_path, 3)
    assert run.store is not None
    (run.store.folder / NAME).write_bytes(content)
    again = ToyRun(tmp_path)
    again.play()
    assert "was set aside as manifest.damaged.json" in again.said[0]
    assert (run.store.folder / "manifest.damaged.json").read_bytes() == content


def test_folder_of_a_later_format_is_refused(tmp_path: Path) -> None:
    run = stopped_run(tmp_path, 3)
    assert run.store is not None
    manifest = run.store.folder / NAME
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 2}))
    with pytest.raises(RunStoreError, match="format 2, made by a later EverTalk"):
        ToyRun(tmp_path).play()


def test_segment_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    run = stopped_run(tmp_path, 3)
    assert run.store is not None
    segment = run.store.folder / "w000000.mp4"
    shutil.move(segment, tmp_path / "elsewhere.mp4")
    segment.symlink_to(tmp_path / "elsewhere.mp4")
    again = ToyRun(tmp_path)
    again.play()
    assert again.backend.sampled == list(range(WINDOWS))


def test_run_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    run = stopped_run(tmp_path, 1)
    assert run.store is not None
    run.store.folder.rename(tmp_path / "moved")
    run.store.folder.symlink_to(tmp_path / "moved")
    with pytest.raises(RunStoreError, match="it is a link"):
        ToyRun(tmp_path).play()


def test_folder_that_is_deleted_during_the_run_ends_it_with_its_name(tmp_path: Path) -> None:
    run = ToyRun(tmp_path)

    def delete(index: int) -> None:
        if index == 2:
            assert run.store is not None
            run.store.folder.rename(tmp_path / "moved")  # at once: the writer may be at work in it

    run.before_window = delete
    with pytest.raises(RunStoreError, match=r"toy_r\w{10}\.run is gone: it was deleted"):
        run.play()
    assert ToyRun(tmp_path).play().read_bytes() == run_to_the_end(tmp_path / "whole")


def test_second_writer_is_refused_while_the_first_works(tmp_path: Path) -> None:
    with ToyRun(tmp_path).new_store(), pytest.raises(RunStoreError, match="is working on the same run"):
        ToyRun(tmp_path).play()


def test_more_windows_than_a_manifest_holds_are_refused(tmp_path: Path) -> None:
    run = ToyRun(tmp_path, frames=17)
    card = replace(run.card(), windows=run.card().windows * 60_000)
    run.card = lambda: card
    with pytest.raises(InputError, match="60000 windows, expected 50000 at most"):
        run.new_store()


def test_figures_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    run = ToyRun(tmp_path, frames=17)
    with run.new_store() as store:
        frames, nan = torch.full((17, SIZE, SIZE, 3), 0.5), float("nan")
        stats = WindowStats(1.0, drift=nan, seam=nan)
        store.add(run.card().windows[0], frames, WindowOverlap(), lambda: stats)
        store.finish()
    assert store.stats == (WindowStats(1.0, drift=None, seam=None),)


def test_window_that_an_earlier_release_kept_with_values_that_are_no_numbers_is_made_again(
    tmp_path: Path,
) -> None:
    run = ToyRun(tmp_path, before_window=Stop(3))
    with pytest.raises(StopError):
        run.play()
    assert run.store is not None
    manifest = run.store.folder / NAME
    kept = json.loads(manifest.read_text())
    kept["windows"][1]["stats"]["finite"] = False
    manifest.write_text(json.dumps(kept))
    again = ToyRun(tmp_path)
    again.play()
    assert again.backend.sampled == [1, 2, 3, 4]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_window_with_values_that_are_no_numbers_ends_the_run_and_is_made_again(
    tmp_path: Path, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, decode = ToyRun(tmp_path), ToyBackend.decode

    def spoilt(backend: ToyBackend, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        frames_FHWC = decode(backend, latents_BCTHW)
        frames_FHWC[3, 2, 1] = value if backend.sampled[-1] == 2 else 0.5
        return frames_FHWC

    with monkeypatch.context() as patch:
        patch.setattr(ToyBackend, "decode", spoilt)
        with pytest.raises(InputError, match=r"frames of window 3 hold NaN or infinite values.*are kept"):
            run.play()
    again = ToyRun(tmp_path)
    again.play()
    assert again.backend.sampled == [2, 3, 4]
