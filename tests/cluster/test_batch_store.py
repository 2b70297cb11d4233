import subprocess
import sys
from pathlib import Path

import pytest
from batch_setup import batch_environment
from evertalk_batch.attempts import Attempt, attempts_of, forget_attempts, read_attempts
from evertalk_batch.batch_store import BatchStore
from evertalk_batch.errors import StoreError
from evertalk_batch.json_file import read_json, write_json
from evertalk_batch.options import Options, read_options, write_options
from evertalk_batch.scratch import Scratch

HOLD = (
    "import sys, pathlib; from evertalk_batch.batch_store import BatchStore\n"
    "with BatchStore(pathlib.Path(sys.argv[1])).driving(): print('held', flush=True); input()"
)
LEAVE = (
    "import os; from evertalk_batch.scratch import Scratch\nprint(Scratch().folder, flush=True); os._exit(9)"
)


@pytest.fixture
def store(tmp_path: Path) -> BatchStore:
    store = BatchStore(tmp_path / "store")
    store.make()
    return store


def test_second_program_is_refused_until_the_first_is_gone(store: BatchStore) -> None:
    command = [sys.executable, "-c", HOLD, str(store.root)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=batch_environment()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert store.is_driven()
        refusal = f"process {process.pid} on .* is running this batch"
        with pytest.raises(StoreError, match=refusal), store.driving():
            pass
        process.kill()
        process.wait()
    assert not store.is_driven()
    with store.driving():
        pass


def test_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        BatchStore(tmp_path / "store").make()


def test_options_come_back_and_other_folders_are_refused(store: BatchStore) -> None:
    with pytest.raises(StoreError, match="no batch was started there"):
        read_options(store)
    options = Options("/j", "/w", "/s", "/c", server_arguments=("--lowvram",), split_s=60.0)
    write_options(store, options, 7)
    assert read_options(store) == (options, 7)
    store.about.write_text("{}")
    with pytest.raises(StoreError, match="damaged or of another version"):
        read_options(store)


def test_attempts_are_told_by_task_and_forgotten(store: BatchStore) -> None:
    for key, number in (("a.1", 2), ("a.1", 10), ("a", 1)):
        Attempt(key, number, "worker 1", 5.0, window=3, windows=9, begun=3).write(store.attempts)
    assert [one.number for one in attempts_of(store.attempts, "a.1")] == [2, 10]
    forget_attempts(store.attempts, "a.1")
    assert [one.key for one in read_attempts(store.attempts)] == ["a"]


def test_json_file_is_whole_or_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_json(path) is None
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text('{"a"')
    assert read_json(path) is None
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_folder_of_a_killed_worker_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    done = subprocess.run(
        [sys.executable, "-c", LEAVE], env=batch_environment(), capture_output=True, text=True, check=False
    )
    left = Path(done.stdout.strip())
    assert left.is_dir()
    one = Scratch()
    assert not left.exists()
    other = Scratch()
    assert one.folder.is_dir(), "that of a living one stays"
    one.close()
    other.close()
    assert list(tmp_path.iterdir()) == []
