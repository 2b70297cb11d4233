"""An output folder on a network share that is slow, goes away and comes back, for whoever writes: FFmpeg too.

`make test` tries a drawn sample of the requests; EVERTALK_DISK_FAULTS=0 (make soak) every one. The share is
real to the system (network_folder.py); where none can be mounted these tests are skipped, and
test_failing_disk.py stays, which sees the calls of Python alone.
"""

import errno
import logging
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

import pytest
from evertalk_pack.multitalk.common.errors import RunStoreError
from evertalk_pack.multitalk.runs.folder import store_error
from network_folder import NoShareError, Share, share_at
from toy_run import NO_WAITING, Stop, StopError, ToyRun, bytes_of

pytestmark = pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs /dev/fuse")

LOG = logging.getLogger(__name__)
COUNT = int(os.environ.get("EVERTALK_DISK_FAULTS", "4"))
"""Requests at which each fault is tried; 0: all."""

FRAMES = 30
AWAY = "does not answer"
Hurt = Callable[[Share, int], object]


toy_run = partial(ToyRun, frames=FRAMES, rules=NO_WAITING)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The video of a run that nothing disturbed."""
    return bytes_of(toy_run(tmp_path_factory.mktemp("whole")).play())


@contextmanager
def mounted(folder: Path) -> Generator[Share]:
    """A share whose content lies in a folder of the test's, and stays when it is unmounted."""
    try:
        with share_at(folder / "share", folder / "behind") as share:
            yield share
    except NoShareError as error:
        pytest.skip(f"nothing can be mounted here: {error}")


def requests_of(folder: Path) -> int:
    """How many requests a run makes."""
    folder.mkdir()
    with mounted(folder) as share:
        toy_run(share.folder).play()
        return share.change()


def drawn(count: int, name: str) -> list[int]:
    """Some of so many requests, counted from 1; all with COUNT 0."""
    requests = range(1, count + 1)
    return sorted(Random(name).sample(requests, min(COUNT or count, count)))


def complaint(folder: Path, first: int, hurt: Hurt, expected: dict[str, bytes]) -> str:
    """What is wrong with a run on a share that is hurt at a request, or with the one that is queued later."""
    written: set[int] = set()
    told = ""
    folder.mkdir()
    with mounted(folder) as share:
        run = toy_run(share.folder, written=lambda record, _: written.add(record.index))
        hurt(share, first)
        try:
            run.play()
        except RunStoreError as error:
            told = str(error)
        except Exception as error:  # noqa: BLE001  whatever it is, it has no words for the user
            return f"request {first}: {type(error).__name__}: {error}"
    if told and AWAY not in told:
        return f"request {first}: {told}"
    with mounted(folder) as share:
        after = toy_run(share.folder)
        if bytes_of(after.play()) != expected:
            return f"request {first}: other bytes"
    lost = written & set(after.backend.sampled)
    return f"request {first}: lost {sorted(lost)}" if lost else ""


def times_out(share: Share, first: int) -> None:
    """As an NFS share that is mounted `soft`."""
    share.change(code=errno.ETIMEDOUT, first=first)


def stale(share: Share, first: int) -> None:
    """As an NFS share whose server was set up again."""
    share.change(code=errno.ESTALE, first=first)


def fails(share: Share, first: int) -> None:
    """As a server's disk."""
    share.change(code=errno.EIO, first=first)


@pytest.mark.parametrize("hurt", [times_out, stale, fails])
def test_nothing_is_lost_on_a_share_that_goes_away_and_comes_back(
    hurt: Hurt, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    count = requests_of(tmp_path / "counted")
    tried = drawn(count, hurt.__name__)
    wrong = [complaint(tmp_path / str(first), first, hurt, expected) for first in tried]
    wrong = [one for one in wrong if one]
    LOG.info("%s: %d requests, %d tried, %d wrong", hurt.__name__, count, len(tried), len(wrong))
    assert not wrong, "\n".join(wrong[:40])


def test_a_share_that_holds_its_answers_is_waited_for(tmp_path: Path, expected: dict[str, bytes]) -> None:
    count = requests_of(tmp_path / "counted")
    for first in drawn(count, "held")[:2]:
        folder = tmp_path / str(first)
        folder.mkdir()
        with mounted(folder) as share:
            share.change(first=first, hold_s=1.0)
            assert bytes_of(toy_run(share.folder).play()) == expected


def test_a_slow_share_gives_the_same_video(tmp_path: Path, expected: dict[str, bytes]) -> None:
    with mounted(tmp_path) as share:
        share.change(slow_s=0.002)
        assert bytes_of(toy_run(share.folder).play()) == expected


def test_a_share_whose_server_dies_is_told_of_and_the_run_goes_on_when_it_is_back(
    tmp_path: Path, expected: dict[str, bytes]
) -> None:
    with mounted(tmp_path) as share:
        run = toy_run(share.folder)
        run.before_window = lambda index: share.kill() if index == 2 else None
        with pytest.raises(RunStoreError, match=AWAY):
            run.play()
    with mounted(tmp_path) as share:
        after = toy_run(share.folder)
        assert bytes_of(after.play()) == expected
    assert after.backend.sampled[0] >= 1


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EBADF])
def test_a_share_that_is_silent_is_not_called_gone_whatever_error_comes_first(
    tmp_path: Path, code: int
) -> None:
    with mounted(tmp_path) as share:
        share.kill()
        assert AWAY in str(store_error(share.folder / "talk.run", OSError(code, os.strerror(code))))


def test_windows_of_a_share_that_is_away_at_the_start_are_not_taken_for_lost(
    tmp_path: Path, expected: dict[str, bytes]
) -> None:
    with mounted(tmp_path) as share:
        with pytest.raises(StopError):
            toy_run(share.folder, before_window=Stop(2)).play()
        for first in (1, 5, 20, 40):
            share.change(code=errno.ETIMEDOUT, first=first)
            with pytest.raises(RunStoreError, match=AWAY):
                toy_run(share.folder).play()
            share.change()
        after = toy_run(share.folder)
        assert bytes_of(after.play()) == expected
    assert after.backend.sampled == [2]
