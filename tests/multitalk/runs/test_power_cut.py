"""After a power cut at any call the same job goes on, and nothing that was said to be written is lost."""

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from evertalk_pack.multitalk.common import atomic_file
from evertalk_pack.multitalk.media.output_format import PNG_SEQUENCE
from evertalk_pack.multitalk.runs.window_records import StoreRules
from evertalk_pack.multitalk.windows.seeds import WindowSeeds
from power_cut import Moment, State, distinct, recording
from toy_run import NO_WAITING, Stop, StopError, ToyBackend, ToyRun, bytes_of

LOG = logging.getLogger(__name__)
COUNT = int(os.environ.get("EVERTALK_POWER_CUTS", "20"))
"""States that are tried of each kind of run; 0: all."""

FINISHED = "the video"


def fresh(run: ToyRun, output: Path) -> ToyRun:
    """The same job in another folder."""
    return replace(
        run, output=output, backend=ToyBackend(), said=[], store=None, written=None, before_window=None
    )


def recorded(run: ToyRun) -> list[Moment]:
    with recording(run.output) as recorder:
        run.written = lambda record, _: recorder.say(str(record.index))
        run.play()
        recorder.say(FINISHED)
    return recorder.moments


def complaint(state: State, run: ToyRun, expected: dict[str, bytes], output: Path) -> str:
    """What is wrong with the job that is queued after the power cut; "" if nothing is."""
    state.write(output)
    after = fresh(run, output)
    try:
        video = after.play()
    except Exception as error:  # noqa: BLE001  whatever it is, the job does not go on
        return f"{state.name}: {type(error).__name__}: {error}"
    if bytes_of(video) != expected:
        return f"{state.name}: other bytes"
    lost = {str(index) for index in after.backend.sampled} & set(state.said)
    if FINISHED in state.said and after.backend.sampled:
        lost.add(FINISHED)
    return f"{state.name}: lost {sorted(lost)} of {state.said}" if lost else ""


toy_run = partial(ToyRun, rules=NO_WAITING)
LONG = StoreRules(whole=1, share=1, stale_s=0.0)
"""As in a run of hours: after the first window the manifest is not written after each."""


def plain(output: Path) -> ToyRun:
    return toy_run(output, frames=40)


def pictures(output: Path) -> ToyRun:
    return toy_run(output, frames=30, written_as=PNG_SEQUENCE)


def going_on(output: Path) -> ToyRun:
    """Stopped before its third window, and queued again."""
    with pytest.raises(StopError):
        toy_run(output, frames=40, before_window=Stop(2)).play()
    return toy_run(output, frames=40)


def longer(output: Path) -> ToyRun:
    """Begins with the windows of a finished run whose sound was shorter."""
    toy_run(output, frames=40).play()
    return toy_run(output, frames=60)


def finished(output: Path) -> ToyRun:
    """Queued again when all is done."""
    toy_run(output, frames=30).play()
    return toy_run(output, frames=30)


def other_seed(output: Path) -> ToyRun:
    """A finished run, of which a window is made again with another seed."""
    toy_run(output, frames=40).play()
    return toy_run(output, frames=40, window_seeds=WindowSeeds(((1, 5),)))


def after_a_cut(output: Path, rules: StoreRules = NO_WAITING) -> ToyRun:
    """Goes on after a power cut, and there is another."""
    before = output.with_name("before")
    before.mkdir()
    moments = recorded(toy_run(before, frames=40, rules=rules))
    distinct(moments[len(moments) // 3 :], seed=3, most=1)[0].write(output)
    return toy_run(output, frames=40, rules=rules)


def hours(output: Path) -> ToyRun:
    """Long enough for its manifest to be written twice after the first window."""
    return toy_run(output, frames=80, rules=LONG)


def hours_going_on(output: Path) -> ToyRun:
    """Stopped where windows have records of their own, and queued again."""
    with pytest.raises(StopError):
        toy_run(output, frames=80, rules=LONG, before_window=Stop(4)).play()
    return toy_run(output, frames=80, rules=LONG)


def hours_after_a_cut(output: Path) -> ToyRun:
    """As after_a_cut, in a run of hours."""
    return after_a_cut(output, LONG)


KINDS = (plain, pictures, going_on, longer, finished, other_seed, after_a_cut)


def complaints(run: ToyRun, states: list[State], folder: Path) -> list[str]:
    """What is wrong after a power cut in each of some states of a recorded run."""
    reference = folder / "reference"
    reference.mkdir()
    expected = bytes_of(fresh(run, reference).play())
    found: list[str] = []
    for number, state in enumerate(states):
        output = folder / f"state_{number}"
        output.mkdir()
        found.append(complaint(state, run, expected, output))
        shutil.rmtree(output)
    return [one for one in found if one]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_said_to_be_written_is_lost(kind: Callable[[Path], ToyRun], tmp_path: Path) -> None:
    check_kind(kind, tmp_path)


@pytest.mark.parametrize("kind", [hours, hours_going_on, hours_after_a_cut])
def test_nothing_said_to_be_written_of_a_long_run_is_lost(
    kind: Callable[[Path], ToyRun], tmp_path: Path
) -> None:
    check_kind(kind, tmp_path)


def check_kind(kind: Callable[[Path], ToyRun], tmp_path: Path) -> None:
    """Record a run, and queue it again after power cuts."""
    (tmp_path / "recorded").mkdir()
    run = kind(tmp_path / "recorded")
    moments = recorded(run)
    states = distinct(moments, seed=22, most=COUNT)
    wrong = complaints(run, states, tmp_path)
    LOG.info("%s: %d moments, %d states, %d wrong", kind.__name__, len(moments), len(states), len(wrong))
    assert not wrong, "\n".join(wrong[:40])


def unsynced(_path: Path) -> None:
    """A flush that does nothing."""


@pytest.mark.parametrize("call", ["flush_file", "flush_folder"])
def test_a_store_that_does_not_wait_for_the_disk_is_found_out(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recorded").mkdir()
    run = toy_run(tmp_path / "recorded", frames=30)
    with monkeypatch.context() as patch:
        patch.setattr(atomic_file, call, unsynced)
        moments = recorded(run)
    at_the_end = [moment for moment in moments if FINISHED in moment.said]
    assert complaints(run, distinct(at_the_end, seed=1, most=8), tmp_path)
