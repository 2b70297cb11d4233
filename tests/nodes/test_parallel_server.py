"""EverTalk Parallel in the real server: two processes of the CPU stand in for two GPUs."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from comfy_client import Event, JobError, JobInterruptedError, ServerError, TextEvent
from comfy_server import ComfyServer, make_base_directory
from kill_runs import finished_windows, prepare, run_folders, sampled_windows
from parallel_runs import (
    PARALLEL,
    finished,
    gone,
    latents_of,
    on,
    processes,
    small,
    videos_of,
    with_lora,
    with_second_voice,
    workers_of,
)
from safetensors.torch import save_file
from server_run import MODEL, PROMPT, SAMPLER, Graph, Run, Stage, frames_of
from tiny_folder import write_flashtalk, write_skyreels

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

ONE_WINDOW, THREE_WINDOWS = 640 * 9, 640 * 17
WITHIN = 1e-4
HANG_S = 40
FLASHTALK, SKYREELS = "tiny-flashtalk-parallel", "tiny-skyreels-parallel"
LORA = "parallel.safetensors"
PREFIX = "three"
"""Of the runs that are disturbed. All have one, since the file holds the workflow."""

DIM = 256


@pytest.fixture(scope="module")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server of its own, which sees two processes."""
    server = ComfyServer(comfyui, tmp_path_factory.mktemp("parallel"))
    make_base_directory(server.base)
    prepare(server)  # before the start: the host lists models once
    write_flashtalk(server.models, FLASHTALK)
    write_skyreels(server.models, SKYREELS)
    write_lora(server.models / "loras" / LORA)
    with processes(2, timeout_s=HANG_S), server:
        yield server


@pytest.fixture
def stage(server: ComfyServer, tmp_path: Path) -> Stage:
    return Stage(server, tmp_path)


def write_lora(path: Path) -> None:
    """A LoRA that changes what the transformer attends to and gives."""
    generator = torch.Generator().manual_seed(4)
    tensors = {
        f"blocks.{block}.{layer}.lora_{half}.weight": 0.05 * torch.randn(shape, generator=generator)
        for block in (0, 1)
        for layer in ("self_attn.o", "cross_attn.v")
        for half, shape in (("A", (4, DIM)), ("B", (DIM, 4)))
    }
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path)


def plain(stage: Stage) -> Graph:
    return small(stage, stage.speech(ONE_WINDOW))


def guided_pair(stage: Stage) -> Graph:
    scales = {"text_scale": 5.0, "audio_scale": 4.0, "negative": [PROMPT, 0]}
    graph = small(stage, stage.speech(ONE_WINDOW), **scales)
    return with_second_voice(graph, stage.speech(ONE_WINDOW - 640))


def multitalk(stage: Stage) -> Graph:
    graph = plain(stage)
    graph[MODEL]["inputs"]["mode"] = "multitalk"
    return graph


def changed(stage: Stage) -> Graph:
    return with_lora(plain(stage), LORA)


@pytest.mark.parametrize("make", [plain, guided_pair, multitalk, changed])
def test_two_processes_give_what_one_gives(stage: Stage, make: Callable[[Stage], Graph]) -> None:
    graph = make(stage)
    alone = latents_of(stage, graph)
    before = len(stage.server.log)
    together = latents_of(stage, on(graph, "2"))
    assert len(workers_of(stage.server)) == 1
    assert "2 processes" in stage.server.log[before:]
    assert float((alone - together).abs().max()) < WITHIN


@pytest.mark.parametrize(("folder", "scheduler"), [(FLASHTALK, "flashtalk_2"), (SKYREELS, "skyreels")])
def test_windows_of_whole_models_are_the_same_but_for_rounding(
    stage: Stage, folder: str, scheduler: str
) -> None:
    lossless = {"scheduler": scheduler, "format": "mkv lossless (ffv1)", "window_frames": 25}
    graph = small(stage, stage.speech(ONE_WINDOW), **lossless)
    graph[MODEL]["inputs"] |= {"base_model": folder, "talk_model": "in the base model", "mode": "auto"}
    alone, together = (
        frames_of(Path(told_by(finished(stage.run(one)))["path"])).int() for one in (graph, on(graph, "2"))
    )
    assert (alone - together).abs().max() <= 1


def told_by(run: Run) -> dict[str, Any]:
    """What the history has of a run."""
    assert run.outcome is not None
    return run.outcome.outputs[SAMPLER]["evertalk"][0]


def texts_of(stage: Stage, graph: Graph, note: Callable[[str], None] | None = None) -> list[str]:
    """What the server tells of a run that comes to its end."""
    texts: list[str] = []

    def take(event: Event) -> None:
        if isinstance(event, TextEvent):
            texts.append(event.text)
            if note is not None:
                note(event.text)

    stage.client.run(graph, take, timeout_s=300)
    return texts


def three_windows(stage: Stage, seed: int, prefix: str) -> Graph:
    return on(small(stage, stage.speech(THREE_WINDOWS), seed=seed, filename_prefix=prefix), "2")


@dataclass(frozen=True)
class Undisturbed:
    """A run of three windows that came to its end, and was moved away: what it ran, and its video."""

    graph: Graph
    video: bytes


@pytest.fixture(scope="module")
def undisturbed(server: ComfyServer, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    stage = Stage(server, tmp_path_factory.mktemp("undisturbed"))
    graph = three_windows(stage, 11, PREFIX)
    texts_of(stage, graph)
    (video,) = videos_of(server, PREFIX)
    return Undisturbed(graph, video.read_bytes())


def set_aside(server: ComfyServer) -> None:
    """Move away what runs left, so that the same workflow is made again."""
    kept = server.base / "temp" / os.urandom(4).hex()
    kept.mkdir()
    for old in server.output.glob(f"{PREFIX}_*"):
        old.rename(kept / old.name)
    server.client.forget()  # it would answer the same workflow from its cache


def at_window(number: int, act: Callable[[], Any]) -> Callable[[str], None]:
    """Acts once, when a window has begun."""
    done: list[bool] = []

    def look(text: str) -> None:
        if text.startswith(f"Window {number} of 3, step 1/") and not done:
            done.append(True)
            act()

    return look


def end(stage: Stage, how: signal.Signals) -> list[psutil.Process]:
    """Do something to the worker; all workers that there were."""
    workers = workers_of(stage.server)
    for one in workers:
        one.send_signal(how)
    return workers


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (signal.SIGKILL, r"the worker on process 1 was ended by signal 9"),
        (signal.SIGSTOP, r"a worker did not answer within 40 s"),
    ],
    ids=["killed", "hangs"],
)
def test_worker_that_is_lost_ends_the_run_and_the_next_goes_on(
    stage: Stage, undisturbed: Undisturbed, how: signal.Signals, words: str
) -> None:
    set_aside(stage.server)
    lost: list[psutil.Process] = []
    with pytest.raises(JobError, match=words) as caught:
        texts_of(stage, undisturbed.graph, at_window(2, lambda: lost.extend(end(stage, how))))
    assert "The windows that were finished are kept" in str(caught.value)
    assert len(lost) == 1
    assert gone(lost)
    assert workers_of(stage.server) == []
    (folder,) = run_folders(stage.server, PREFIX)
    done = finished_windows(folder)
    assert done >= 1
    texts = texts_of(stage, undisturbed.graph)
    assert f"resumed: {done} of 3 windows were finished" in texts
    (video,) = videos_of(stage.server, PREFIX)
    assert video.read_bytes() == undisturbed.video


def test_killed_server_takes_its_workers_along_and_the_run_goes_on(
    stage: Stage, undisturbed: Undisturbed
) -> None:
    server = stage.server
    set_aside(server)
    left: list[psutil.Process] = []

    def kill() -> None:
        left.extend(workers_of(server))
        server.kill()

    with pytest.raises((JobError, ServerError, ConnectionError)):
        texts_of(stage, undisturbed.graph, at_window(3, kill))
    assert len(left) == 1
    assert gone(left)
    (folder,) = run_folders(server, PREFIX)
    done = finished_windows(folder)
    server.start()
    texts_of(stage, undisturbed.graph)
    assert sampled_windows(server.log) == list(range(done, 3))
    (video,) = videos_of(server, PREFIX)
    assert video.read_bytes() == undisturbed.video


def test_stopped_run_goes_on_and_freed_memory_or_a_stopped_server_leaves_no_worker(stage: Stage) -> None:
    graph = three_windows(stage, 13, "stopped")
    had: list[psutil.Process] = []

    def interrupt() -> None:
        had.extend(workers_of(stage.server))
        stage.client.interrupt()

    with pytest.raises(JobInterruptedError):
        texts_of(stage, graph, at_window(2, interrupt))
    assert any(text.startswith("resumed: ") for text in texts_of(stage, graph))
    had += workers_of(stage.server)
    assert len(set(had)) >= 1
    stage.client.forget()
    assert gone(had)
    assert finished(stage.run(on(plain(stage), "2"))).texts
    workers = workers_of(stage.server)
    assert len(workers) == 1
    stage.server.stop()
    assert gone(workers)
    stage.server.start()


def test_unload_models_ends_workers_of_a_run_that_was_stopped_while_they_loaded(stage: Stage) -> None:
    stage.client.forget()  # what was encoded too, so that the run waits for the workers to encode

    def stop_the_wait(text: str) -> None:
        if text.startswith("gpus 2: 2 processes"):
            assert len(end(stage, signal.SIGSTOP)) == 1, "it was started early, and does not load now"
        if text.startswith("gpus: waiting until all workers hold the weights"):
            stage.client.interrupt()

    with pytest.raises(JobInterruptedError):
        texts_of(stage, on(plain(stage), "2"), stop_the_wait)
    left = end(stage, signal.SIGCONT)
    assert len(left) == 1, "it was kept for the next run"
    stage.client.ask("/free", {"unload_models": True, "free_memory": False})
    assert gone(left)
    assert finished(stage.run(on(plain(stage), "2"))).texts


@pytest.mark.parametrize(
    ("gpus", "words"),
    [
        ("3", r"gpus: 3 were chosen, and this ComfyUI sees 2\. Choose 2 at most, or auto"),
    ],
)
def test_too_many_are_refused_when_the_workflow_is_queued(stage: Stage, gpus: str, words: str) -> None:
    with pytest.raises(JobError, match=words):
        stage.client.queue(on(plain(stage), gpus))


def test_auto_takes_all_that_share_the_heads_evenly_and_says_so(stage: Stage) -> None:
    run = finished(stage.run(on(plain(stage), "auto")))
    assert "gpus auto: 2 processes; 2 attention heads, 1 on each" in run.texts
    assert told_by(run)["gpus"] == 2
    assert PARALLEL in run.nodes


def test_workers_start_while_the_model_loads_and_go_with_a_prompt_that_is_refused(stage: Stage) -> None:
    stage.client.forget()
    before = len(stage.server.log)
    graph = on(plain(stage), "2")
    graph[MODEL]["inputs"]["attention_budget"] = 2.0
    assert "attention_budget" in stage.run(graph).refusal
    assert "gpus: workers start while the model loads (1)" in stage.server.log[before:]
    assert gone(workers_of(stage.server))
    before = len(stage.server.log)
    assert finished(stage.run(on(plain(stage), "2"))).texts
    log = stage.server.log[before:]
    assert "gpus: workers start while the model loads (1)" in log
    assert "gpus: the workers hold the weights, loaded in" in log
    (worker,) = workers_of(stage.server)  # started early
    assert worker.environ()["NCCL_SOCKET_IFNAME"] == worker.environ()["GLOO_SOCKET_IFNAME"] == "lo"
