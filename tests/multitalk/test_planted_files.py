"""What a stranger put where the pack keeps files of its own: refused at once, by a sentence."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from evertalk_pack.multitalk import run_lock
from evertalk_pack.multitalk.errors import InputError, RunStoreError
from evertalk_pack.multitalk.fingerprint import fingerprint_file
from evertalk_pack.multitalk.mp4_claims import claims_too_much
from evertalk_pack.multitalk.run_lock import BREAKER_NAME, MAX_TORN_BYTES, NAME, RunLock
from evertalk_pack.multitalk.safe_path import checked_prefix

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
        pytest.raises(RunStoreError, match=f"`lock` is {what}, and no lock of"),
        RunLock(tmp_path),
    ):
        pass
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("what", PLANTED)
def test_a_takeover_that_is_none_is_refused_at_once(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_bytes(b"")
    PLANTED[what](tmp_path / BREAKER_NAME)
    monkeypatch.setattr(run_lock, "STALE_S", 0.0)
    with pytest.raises(RunStoreError, match=f"`{BREAKER_NAME}` is {what}"), RunLock(tmp_path):
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
