"""Workers that start before the MODEL is there: a team takes them, and none outlives its prompt."""

import threading
import time
from collections.abc import Iterator

import psutil
import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from evertalk_pack.nodes.host.parallel import spare_workers
from evertalk_pack.nodes.host.parallel.choice import TEAMS, with_gpus
from evertalk_pack.nodes.host.parallel.machine import Machine, this_machine
from evertalk_pack.nodes.host.parallel.spare_workers import FOLLOW_S, SPARES
from evertalk_pack.nodes.host.parallel.worker_process import GRACE_S, end_all
from parallel_runs import PROCESSES, gone, is_worker
from tiny_host import TinyFiles, load_model, load_vae, play_windows, speech

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

THREE, FOUR = Machine("gloo", 3), Machine("gloo", 4)


@pytest.fixture(autouse=True)
def prompts(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The prompts that run: there is no server here that could tell."""
    running = {"a prompt"}
    monkeypatch.setattr(spare_workers, "is_running", running.__contains__)
    yield running
    TEAMS.end()
    SPARES.taken(THREE, 0)


def begin(machine: Machine, size: int, prompt_id: str = "a prompt") -> None:
    """As the node does, while a prompt runs."""
    with CurrentNodeContext(prompt_id, "20"):
        SPARES.begin(machine, size)


def workers() -> list[psutil.Process]:
    return [one for one in psutil.Process().children(recursive=True) if is_worker(one)]


def wait_for_nothing_to_follow() -> None:
    for thread in threading.enumerate():
        if thread.name == "evertalk spares":
            thread.join(30)
            assert not thread.is_alive()


def test_a_team_takes_those_that_were_started_for_it(
    tiny: TinyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROCESSES, "2")
    begin(this_machine(), 2)
    early = workers()
    assert len(early) == 1
    begin(this_machine(), 2)
    assert workers() == early, "asked for twice, as ComfyUI does where it waits for an input"
    model, vae, embeds = load_model(tiny), load_vae(tiny), speech(tiny, 9)
    with torch.inference_mode():
        alone = play_windows(model, vae, embeds)
        together = play_windows(with_gpus(model, "2")[0], vae, embeds)
    assert (alone - together).abs().max() < 1e-4
    wait_for_nothing_to_follow()
    assert workers() == early, "the run took them, and nothing was started or ended"


def test_those_of_a_prompt_that_ends_without_them_are_gone(prompts: set[str]) -> None:
    begin(THREE, 3)
    early = workers()
    assert len(early) == 2
    prompts.clear()
    wait_for_nothing_to_follow()
    assert gone(early)
    assert SPARES.taken(THREE, 3) == []


def test_those_of_a_prompt_that_failed_serve_the_next_one(prompts: set[str]) -> None:
    begin(THREE, 3)
    early = workers()
    prompts.add("the next")
    begin(THREE, 3, "the next")
    prompts.remove("a prompt")
    time.sleep(2 * FOLLOW_S)
    assert workers() == early, "the end of the first prompt is no end of them"
    prompts.clear()
    wait_for_nothing_to_follow()
    assert gone(early)


def test_stuck_ones_are_gone_after_one_grace_for_all() -> None:
    begin(FOUR, 4)
    early = workers()
    assert len(early) == 3
    for one in early:
        one.suspend()
    started_s = time.monotonic()
    SPARES.taken(THREE, 0)
    assert time.monotonic() - started_s < 2 * GRACE_S
    assert gone(early)


def test_a_team_of_another_size_and_one_that_lost_a_worker_start_their_own() -> None:
    begin(THREE, 3)
    early = workers()
    assert SPARES.taken(THREE, 2) == []
    assert gone(early)
    begin(THREE, 3)
    early = workers()
    early[0].kill()
    assert gone(early[:1])
    while not any(one.failure for one in SPARES._spares.workers):  # pyright: ignore
        threading.Event().wait(0.01)
    assert SPARES.taken(THREE, 3) == []
    assert gone(early)


def test_what_is_taken_is_left_alone_when_the_prompt_ends(prompts: set[str]) -> None:
    begin(THREE, 3)
    taken = SPARES.taken(THREE, 3)
    try:
        prompts.clear()
        wait_for_nothing_to_follow()
        assert len(workers()) == len(taken) == 2
        assert not any(one.failure for one in taken)
    finally:
        end_all(taken)


def test_one_gpu_needs_none_and_without_a_prompt_there_are_none() -> None:
    begin(THREE, 1)
    SPARES.begin(THREE, 3)
    assert workers() == []
