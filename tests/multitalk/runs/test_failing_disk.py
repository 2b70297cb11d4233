"""A disk that is full, goes away and comes back, or answers slowly, at every call of a run.

`make test` tries a drawn sample of the calls; EVERTALK_DISK_FAULTS=0 (make soak) every one.
"""

import errno
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import pytest
from evertalk_pack.multitalk.common.errors import RunStoreError
from failing_disk import FailingDisk, failing
from toy_run import NO_WAITING, Stop, StopError, ToyRun, bytes_of

LOG = logging.getLogger(__name__)
COUNT = int(os.environ.get("EVERTALK_DISK_FAULTS", "3"))
"""Calls at which each fault is tried; 0: all."""

FRAMES = 30
FULL, AWAY, SEALED = "the disk is full", "does not answer", "may not be written to"
ONCE, FOR_EVER = 1, 1_000_000


@dataclass(frozen=True)
class Fault:
    """What a disk does from a call on.

    Attributes:
        name: of the case.
        code: errno.
        words: what the user is told.
        times: how many calls fail.
        only_writes: reading goes on.
    """

    name: str
    code: int
    words: str
    times: int = FOR_EVER
    only_writes: bool = False

    def __str__(self) -> str:
        return self.name


FAULTS = (
    Fault("full", errno.ENOSPC, FULL, only_writes=True),
    Fault("full once", errno.ENOSPC, FULL, ONCE, only_writes=True),
    Fault("quota", errno.EDQUOT, FULL, only_writes=True),
    Fault("read-only", errno.EROFS, SEALED, only_writes=True),
    Fault("of another user once", errno.EACCES, SEALED, ONCE, only_writes=True),
    Fault("failing once", errno.EIO, AWAY, ONCE),
    Fault("failing", errno.EIO, AWAY),
    Fault("share away", errno.ESTALE, AWAY),
    Fault("share away for five calls", errno.ETIMEDOUT, AWAY, 5),
)


toy_run = partial(ToyRun, frames=FRAMES, rules=NO_WAITING)


def new(output: Path) -> ToyRun:
    """A run from its beginning."""
    return toy_run(output)


def stopped(output: Path) -> ToyRun:
    """A run that goes on behind two finished windows."""
    with pytest.raises(StopError):
        toy_run(output, before_window=Stop(2)).play()
    return toy_run(output)


def finished(output: Path) -> ToyRun:
    """A run whose video stands."""
    toy_run(output).play()
    return toy_run(output)


KINDS: dict[Callable[[Path], ToyRun], int] = {new: 0, stopped: 2, finished: 3}
"""How a run begins, and how many of its windows are finished then."""


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The video of a run that nothing disturbed."""
    return bytes_of(toy_run(tmp_path_factory.mktemp("whole")).play())


def complaint(run: ToyRun, disk: FailingDisk, fault: Fault, done: int, expected: dict[str, bytes]) -> str:
    """What is wrong with a run on this disk, or with the one that is queued after it; "" if nothing is."""
    written, told = set(range(done)), ""
    run.written = lambda record, _: written.add(record.index)
    try:
        with failing(disk):
            run.play()
    except RunStoreError as error:
        told = str(error)
    except Exception as error:  # noqa: BLE001  whatever it is, it has no words for the user
        return f"call {disk.first}: {type(error).__name__}: {error}"
    if told and fault.words not in told:
        return f"call {disk.first}: {told}"
    after = toy_run(run.output)
    if bytes_of(after.play()) != expected:
        return f"call {disk.first}: other bytes"
    lost = written & set(after.backend.sampled)
    return f"call {disk.first}: lost {sorted(lost)}" if lost else ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_nothing_is_lost_on_a_failing_disk(
    fault: Fault, kind: Callable[[Path], ToyRun], tmp_path: Path, expected: dict[str, bytes]
) -> None:
    (tmp_path / "counted").mkdir()
    run = kind(tmp_path / "counted")
    with failing(FailingDisk(run.output, only_writes=fault.only_writes)) as counted:
        run.play()
    calls = range(1, counted.calls + 1)
    drawn = Random(str(fault) + kind.__name__).sample(calls, min(COUNT or len(calls), len(calls)))
    wrong: list[str] = []
    for first in sorted(drawn):
        output = tmp_path / str(first)
        output.mkdir()
        again = kind(output)
        disk = FailingDisk(output, fault.code, first, fault.times, fault.only_writes)
        wrong.append(complaint(again, disk, fault, KINDS[kind], expected))
        shutil.rmtree(output)
    wrong = [one for one in wrong if one]
    LOG.info("%s, %s: %d calls, %d tried, %d wrong", fault, kind.__name__, len(calls), len(drawn), len(wrong))
    assert not wrong, "\n".join(wrong[:40])


def test_a_slow_folder_is_waited_for(tmp_path: Path, expected: dict[str, bytes]) -> None:
    run = new(tmp_path)
    with failing(FailingDisk(tmp_path, only_writes=False, slow_s=0.01)) as disk:
        assert bytes_of(run.play()) == expected
    assert disk.calls > 100, "the folder was slow"
