"""What a run writes to name its windows does not grow with their number, and all of them are found again."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from evertalk_pack.multitalk.common import atomic_file
from evertalk_pack.multitalk.common.fingerprint import fingerprint
from evertalk_pack.multitalk.runs import window_records
from evertalk_pack.multitalk.runs.manifest import (
    MAX_BYTES,
    MAX_WINDOWS,
    NAME,
    FileRecord,
    Manifest,
    WindowRecord,
    WindowStats,
    carry_name,
    dump_manifest,
    dump_window,
    read_manifest,
    segment_name,
)
from evertalk_pack.multitalk.runs.window_records import (
    MAX_RECORD_BYTES,
    FinishedWindows,
    StoreRules,
    read_run,
    record_name,
    store_manifest,
)
from toy_run import Stop, StopError, ToyRun

WHOLE, SHARE = 4, 8
CARRY_BYTES = 1_000
FINGERPRINT = fingerprint("a run")


SOON_LONG = StoreRules(WHOLE, SHARE, carry_bytes=8 * CARRY_BYTES)
"""A run counts as long after a few windows, and has room for the motion frames of a few."""


def window(index: int) -> WindowRecord:
    """A window with all that one can have."""
    digest = fingerprint(index)
    return WindowRecord(
        index=index,
        frames=72,
        key=digest,
        segment=FileRecord(segment_name(index), 2**40 + index, digest),
        carries=True,
        carry=FileRecord(carry_name(index), CARRY_BYTES, digest),
        stats=WindowStats(1.0 / 3, 2.0 / 3, 1.0 / 7),
    )


def finish(windows: FinishedWindows, indices: Iterator[int] | range, folder: Path) -> None:
    for index in indices:
        (folder / carry_name(index)).touch()
        windows.add(window(index))


def begun(folder: Path, planned: int) -> FinishedWindows:
    manifest = Manifest(FINGERPRINT, {}, planned)
    store_manifest(folder, manifest)
    return FinishedWindows(folder, manifest, SOON_LONG)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Sizes of the small files that are written, by kind."""
    sizes: dict[str, list[int]] = {"manifest": [], "record": []}

    def write(path: Path, content: bytes) -> None:
        sizes["manifest" if path.name == NAME else "record"].append(len(content))
        atomic_file.write_whole(path, content)

    monkeypatch.setattr(window_records, "write_whole", write)
    return sizes


def test_what_names_windows_grows_with_their_number_and_not_with_its_square(
    tmp_path: Path, written: dict[str, list[int]]
) -> None:
    count = 500
    windows = begun(tmp_path, count)
    finish(windows, range(count), tmp_path)
    last = len(dump_manifest(windows.manifest))
    assert sum(written["manifest"]) < (SHARE + 2) * last
    assert sum(written["record"]) < 2 * last
    assert len(written["manifest"]) < 50


def test_files_of_a_long_run_stay_few(tmp_path: Path) -> None:
    windows = begun(tmp_path, 300)
    finish(windows, range(300), tmp_path)
    assert len([*tmp_path.glob("w*.json")]) <= 300 // SHARE + 1
    assert len([*tmp_path.glob("c*.safetensors")]) <= 8 + 2


def test_short_run_is_named_by_its_manifest_alone(tmp_path: Path) -> None:
    windows = begun(tmp_path, 9)
    finish(windows, range(WHOLE), tmp_path)
    assert [*tmp_path.glob("w*.json")] == []
    assert len(read_manifest(tmp_path / NAME).windows) == WHOLE


@pytest.mark.parametrize("count", [WHOLE + 1, 2 * WHOLE - 1, 2 * WHOLE, 2 * WHOLE + 1, 100])
def test_windows_are_read_as_they_were_finished(count: int, tmp_path: Path) -> None:
    windows = begun(tmp_path, 200)
    finish(windows, range(count), tmp_path)
    found = read_run(tmp_path)
    assert [replace(one, carry=None) for one in found.windows] == [
        replace(window(index), carry=None) for index in range(count)
    ]
    assert found.windows[-1] == window(count - 1)
    assert {one.index for one in windows.all if one.carry} == {
        int(path.stem[1:]) for path in tmp_path.glob("c*.safetensors")
    }


def test_records_of_windows_that_the_manifest_names_already_are_passed_over(tmp_path: Path) -> None:
    windows = begun(tmp_path, 200)
    finish(windows, range(19), tmp_path)
    store_manifest(tmp_path, windows.manifest)  # and a crash before the records are deleted
    assert read_run(tmp_path).windows == windows.manifest.windows


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b" " * (MAX_RECORD_BYTES + 1), dump_window(window(3))])
def test_damaged_record_ends_what_is_believed(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    windows = begun(tmp_path, 200)
    finish(windows, range(19), tmp_path)
    named = len(read_manifest(tmp_path / NAME).windows)
    (tmp_path / record_name(named + 1)).write_bytes(content)
    assert len(read_run(tmp_path).windows) == named + 1
    assert f"windows from {named + 2} on are made again" in caplog.text


def test_pipe_in_a_records_place_is_not_waited_for(tmp_path: Path) -> None:
    windows = begun(tmp_path, 200)
    finish(windows, range(19), tmp_path)
    named = len(read_manifest(tmp_path / NAME).windows)
    (tmp_path / record_name(named)).unlink()
    os.mkfifo(tmp_path / record_name(named))
    assert len(read_run(tmp_path).windows) == named


def test_window_that_could_not_be_named_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = begun(tmp_path, 200)
    finish(windows, range(WHOLE), tmp_path)

    def fail(_path: Path, _content: bytes) -> None:
        raise OSError(28, "no room")

    monkeypatch.setattr(window_records, "write_whole", fail)
    with pytest.raises(OSError, match="no room"):
        windows.add(window(WHOLE))
    assert len(windows) == len(read_run(tmp_path).windows) == WHOLE


def test_manifest_of_the_most_windows_can_be_read() -> None:
    longest = replace(window(MAX_WINDOWS - 1), carry=None)
    assert len(dump_window(window(MAX_WINDOWS - 1))) < MAX_RECORD_BYTES
    assert MAX_WINDOWS * (len(dump_window(longest)) + 1) < MAX_BYTES


def test_long_run_goes_on_behind_its_last_record_and_gives_the_same_video(tmp_path: Path) -> None:
    expected = ToyRun(tmp_path / "whole", frames=140).play().read_bytes()
    with pytest.raises(StopError):
        ToyRun(tmp_path, rules=SOON_LONG, frames=140, before_window=Stop(7)).play()
    (folder,) = tmp_path.glob("EverTalk/*.run")
    assert len(read_manifest(folder / NAME).windows) == WHOLE
    run = ToyRun(tmp_path, rules=SOON_LONG, frames=140)
    assert run.play().read_bytes() == expected
    assert run.backend.sampled[0] == 7
    assert [*folder.glob("w*")] == []


def test_longer_run_begins_with_windows_that_have_records(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        ToyRun(tmp_path, rules=SOON_LONG, frames=140, before_window=Stop(7)).play()
    run = ToyRun(tmp_path, rules=SOON_LONG, frames=150)
    run.play()
    assert run.backend.sampled[0] == 7
