"""Disks that fill up, cannot be written to or fail: the run ends with a sentence, and goes on later."""

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest
from evertalk_pack.multitalk.common.errors import RunStoreError
from evertalk_pack.multitalk.media.output_format import MP4_H264, PNG_SEQUENCE, OutputFormat
from evertalk_pack.multitalk.runs.folder import store_error
from evertalk_pack.multitalk.runs.manifest import NAME, read_manifest, segment_name
from toy_run import ToyRun, bytes_of

WINDOWS = 5
"""Of a toy run of 60 frames."""


@pytest.mark.parametrize(("form", "ballast_bytes"), [(MP4_H264, 150_000), (PNG_SEQUENCE, 0)])
def test_full_disk_ends_the_run_with_its_name_and_the_run_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path, form: OutputFormat, ballast_bytes: int
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * ballast_bytes)
    run = ToyRun(small_disk, written_as=form)
    with pytest.raises(RunStoreError, match=r"the disk is full \(0 MB free\) while writing to .*Make room"):
        run.play()
    assert run.store is not None
    finished = len(read_manifest(run.store.folder / NAME).windows)
    assert 0 < finished < WINDOWS
    subprocess.run(["mount", "-o", "remount,size=20M", str(small_disk)], check=True)
    whole = tmp_path / "whole"
    whole.mkdir()
    again = ToyRun(small_disk, written_as=form)
    assert bytes_of(again.play()) == bytes_of(ToyRun(whole, written_as=form).play())
    assert again.backend.sampled == list(range(finished, WINDOWS))


def test_folder_that_becomes_read_only_ends_the_run_and_it_goes_on_later(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=20M", str(small_disk)], check=True)

    def seal(index: int) -> None:
        if index == 3:
            assert run.store is not None
            while len(read_manifest(run.store.folder / NAME).windows) < index:
                time.sleep(0.05)
            subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    run = ToyRun(small_disk, before_window=seal)
    with pytest.raises(RunStoreError, match="may not be written to"):
        run.play()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    again = ToyRun(small_disk)
    again.play()
    assert again.backend.sampled == [3, 4]


def test_folder_that_may_not_be_made_is_named(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RunStoreError, match=r"toy_r\w+\.run may not be written to.*--output-directory"):
        ToyRun(small_disk).play()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EMFILE, "cannot be used ([Errno 24] Too many open files). Mend that"),
        (errno.EIO, "does not answer ([Errno 5] Input/output error). Look whether it is connected"),
        (errno.ESTALE, "does not answer ([Errno 116] Stale file handle). Look whether it is connected"),
        (errno.ECONNABORTED, "does not answer ([Errno 103] Software caused connection abort). Look whether"),
        (errno.EISDIR, "needs a file where a folder is ([Errno 21] Is a directory). Move that folder away"),
        (errno.EDQUOT, "the disk is full"),
    ],
)
def test_errors_of_the_disk_say_what_the_system_said(tmp_path: Path, code: int, words: str) -> None:
    assert words in str(store_error(tmp_path, OSError(code, os.strerror(code))))


def test_folder_that_has_the_name_of_a_window_is_left_and_told_of(tmp_path: Path) -> None:
    def put(index: int) -> None:
        if index == 1:
            assert run.store is not None
            (run.store.folder / segment_name(2)).mkdir()

    run = ToyRun(tmp_path, before_window=put)
    with pytest.raises(RunStoreError, match="needs a file where a folder is"):
        run.play()
    assert run.store is not None
    (run.store.folder / segment_name(2)).rmdir()
    again = ToyRun(tmp_path)
    again.play()
    assert again.backend.sampled == [2, 3, 4]
