"""What a stranger put where the pack keeps files of its own: refused at once, by a sentence."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePath

import pytest
from evertalk_pack.multitalk.common.errors import InputError, RunStoreError
from evertalk_pack.multitalk.common.fingerprint import fingerprint_file
from evertalk_pack.multitalk.common.safe_path import checked_prefix
from evertalk_pack.multitalk.media.mp4_sanity import claims_too_much
from evertalk_pack.multitalk.runs import folder as run_folder
from evertalk_pack.multitalk.runs.identity import VideoForm
from evertalk_pack.multitalk.runs.lock import BREAKER_NAME, MAX_TORN_BYTES, NAME, RunLock
from evertalk_pack.multitalk.runs.manifest import FileRecord, dump_manifest
from hostile_files import manifest
from toy_run import SIZE, ToyRun

PLANTED: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("/dev/null"),
    f"a file of {MAX_TORN_BYTES + 1} bytes": lambda path: path.write_bytes(bytes(MAX_TORN_BYTES + 1)),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_lock_that_is_none_is_refused_at_once(tmp_path: Path, what: str) -> None:
    PLANTED[what](tmp_path / NAME)
    began_s = time.monotonic()
    with (
        pytest.raises(RunStoreError, match=f"`lock` is {what}, not a lock of"),
        RunLock(tmp_path),
    ):
        pass
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("what", PLANTED)
def test_a_takeover_that_is_none_is_refused_at_once(tmp_path: Path, what: str) -> None:
    (tmp_path / NAME).write_bytes(b"")
    PLANTED[what](tmp_path / BREAKER_NAME)
    lock = RunLock(tmp_path, stale_s=0.0)
    with pytest.raises(RunStoreError, match=f"`{BREAKER_NAME}` is {what}"), lock:
        pass


def test_a_pipe_is_no_file_to_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="it is a pipe, not a plain file"):
        fingerprint_file(pipe)
    with pytest.raises(OSError, match="it is a pipe, not a plain file"):
        claims_too_much(str(pipe))


def test_a_prefix_through_a_plain_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "EverTalk").write_text("")
    with pytest.raises(InputError, match=r"filename_prefix: .*EverTalk, which is a file where a folder"):
        checked_prefix("EverTalk/talk", tmp_path)


@pytest.mark.parametrize("name", ["w000000.mp4", "c000000.safetensors", "final"])
def test_a_file_that_no_window_can_have_is_not_even_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size and its key are right; it is sparse, and to read it would take as long as it says."""
    run = ToyRun(tmp_path)
    card, store = run.card(), run.new_store()
    form = VideoForm(SIZE, SIZE, run.sound, {"prompt": "{}"})
    size = form.most_bytes(card.windows) * (len(card.windows) if name == "final" else 1) + 1
    place = tmp_path / "EverTalk" / "toy_00001_.mp4" if name == "final" else store.folder / name
    store.folder.mkdir(parents=True)
    with place.open("wb") as file:
        file.truncate(size)
    planted = manifest(card.keys, card.fingerprint)
    large = FileRecord("EverTalk/toy_00001_.mp4" if name == "final" else name, size, "0" * 32)
    if name == "final":
        planted = replace(planted, final=large)
    else:
        changed = {"segment": large} if name.startswith("w") else {"carry": large}
        planted = replace(planted, windows=(replace(planted.windows[0], **changed),), final=None)
    (store.folder / "manifest.json").write_bytes(dump_manifest(planted))
    read: list[PurePath] = []

    def watched(file: PurePath) -> str:
        read.append(file)
        return fingerprint_file(file)

    monkeypatch.setattr(run_folder, "fingerprint_file", watched)
    with store:
        assert store.first == 0
    assert place not in read


def test_a_folder_of_pictures_of_another_size_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "toy_00001_"
    folder.mkdir()
    (folder / "000001.png").write_bytes(b"12345")
    record = run_folder.record_of(folder)
    assert run_folder.is_whole(folder, record)
    monkeypatch.setattr(run_folder, "fingerprint_file", None)
    assert not run_folder.is_whole(folder, replace(record, bytes=6))
