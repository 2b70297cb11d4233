"""The finished video takes a free name, replaces nothing, and is announced before it takes it."""

import os
from pathlib import Path

import pytest
from evertalk_pack.multitalk.common.atomic_file import TEMPORARY, remove_leftovers, whole_file, write_whole
from evertalk_pack.multitalk.common.background_task import Background
from evertalk_pack.multitalk.common.errors import RunStoreError
from evertalk_pack.multitalk.common.safe_path import Prefix, checked_prefix
from evertalk_pack.multitalk.runs import final_video
from evertalk_pack.multitalk.runs.final_video import next_number, put_in_place
from evertalk_pack.multitalk.runs.folder import RunPlace
from evertalk_pack.multitalk.runs.manifest import FileRecord


def placed(root: Path, content: bytes, announced: list[FileRecord]) -> Path:
    made = root / "run" / "final.mp4"
    made.parent.mkdir(exist_ok=True)
    made.write_bytes(content)
    prefix = checked_prefix("EverTalk/talk", root)
    return put_in_place(made, RunPlace(root, prefix, prefix), announced.append)


def always_first(prefix: Prefix) -> int:
    del prefix
    return 1


def never_whole(path: Path, record: FileRecord) -> bool:
    del path, record
    return False


def test_names_are_counted_on_and_written_down_first(tmp_path: Path) -> None:
    announced: list[FileRecord] = []
    paths = [placed(tmp_path, content, announced) for content in (b"one", b"two")]
    assert [path.name for path in paths] == ["talk_00001_.mp4", "talk_00002_.mp4"]
    assert [record.name for record in announced] == ["EverTalk/talk_00001_.mp4", "EverTalk/talk_00002_.mp4"]
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("hard_links", [True, False])
def test_name_that_another_takes_meanwhile_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hard_links: bool
) -> None:
    if not hard_links:

        def refuse(source: Path, target: Path) -> None:
            raise PermissionError(f"{source} {target}: no hard links on this disk")

        monkeypatch.setattr(os, "link", refuse)
    announced: list[FileRecord] = []
    first = placed(tmp_path, b"one", announced)
    monkeypatch.setattr(final_video, "next_number", always_first)
    second = placed(tmp_path, b"two", announced)
    assert first.read_bytes() == b"one"
    assert second.name == "talk_00002_.mp4"
    assert second.read_bytes() == b"two"


def test_file_that_is_damaged_on_the_way_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_video, "is_whole", never_whole)
    with pytest.raises(RunStoreError, match=r"talk_00001_\.mp4 is damaged after it was written"):
        placed(tmp_path, b"one", [])


def test_numbers_are_counted_as_the_host_counts_them(tmp_path: Path) -> None:
    for name in (
        "talk_00007_.mp4",
        "talk_00009_.png",
        "talk_r00000000ff.run",
        "talk_x_.mp4",
        "talky_00099_.mp4",
    ):
        (tmp_path / name).touch()
    assert next_number(checked_prefix("talk", tmp_path)) == 10


def test_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old")

    def write_half() -> None:
        with whole_file(tmp_path / "file") as temporary:
            temporary.write_bytes(b"new, ha")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        write_half()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_leftovers_of_a_crash_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}abc.mp4").touch()
    (tmp_path / "w000000.mp4").touch()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["w000000.mp4"]


def test_error_of_a_job_comes_back_with_the_next(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    with Background("test") as background:
        background.submit(fail)
        with pytest.raises(OSError, match="the disk is full"):
            background.submit((tmp_path / "file").touch)
        background.submit((tmp_path / "file").touch)
    assert (tmp_path / "file").exists()


def test_error_of_the_last_job_comes_back_at_the_end() -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    def run() -> None:
        with Background("test") as background:
            background.submit(fail)

    with pytest.raises(OSError, match="the disk is full"):
        run()
