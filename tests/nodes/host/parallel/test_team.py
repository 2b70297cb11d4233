"""Four ranks in this process' runs, and a worker that cannot begin."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.model_management
import folder_paths
import make_tiny
import psutil
import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from evertalk_pack.multitalk.common.errors import InputError, WorkerError
from evertalk_pack.nodes.host.parallel import team
from evertalk_pack.nodes.host.parallel.choice import TEAMS, with_gpus
from evertalk_pack.nodes.host.parallel.recipe import Recipe
from evertalk_pack.nodes.host.parallel.team import Team
from evertalk_pack.nodes.host.parallel.window import SharedWindow
from evertalk_pack.nodes.host.parallel.worker import said_of
from parallel_runs import PROCESSES, SCRIPT, TIMEOUT, gone
from safetensors.torch import load_file, save_file
from tiny_host import TinyFiles, load_model, load_vae, play_windows, speech

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

FREQUENCIES = "time_embedding.0.weight"
WIDER = {256: 512, 512: 1024, 1536: 3072}
SEEN = 1280


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TinyFiles:
    """The tiny models with a transformer of four heads, of random weights."""
    models = tmp_path_factory.mktemp("four")
    files = TinyFiles.made_in(models)
    generator = torch.Generator().manual_seed(7)
    for name in (make_tiny.BASE_FILE, make_tiny.TALK_FILE):
        weights = load_file(models / name)
        save_file({key: wider(key, value, generator) for key, value in weights.items()}, models / name)
    return files


def wider(name: str, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A weight for twice the channels; what does not depend on them stays."""
    if name.startswith("audio_proj.") or SEEN in weight.shape[:1]:
        return weight
    shape = [WIDER.get(size, size) for size in weight.shape]
    if name == FREQUENCIES:
        shape[1] = weight.shape[1]
    values = 0.05 * torch.randn(shape, generator=generator)
    return (1 + values if "norm" in name and name.endswith(".weight") else values).to(weight.dtype)


@pytest.fixture(autouse=True)
def _four(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(PROCESSES, "4")
    yield
    TEAMS.end()


def workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [one for one in children if any(SCRIPT in part for part in one.cmdline())]


def test_four_processes_give_what_one_gives_and_the_same_bytes_again(files: TinyFiles) -> None:
    model, vae, embeds = load_model(files), load_vae(files), speech(files, 14)
    with torch.inference_mode():
        alone = play_windows(model, vae, embeds)
        together, note = with_gpus(model, "auto")
        assert note == "gpus auto: 4 processes; 4 attention heads, 1 on each"
        first = play_windows(together, vae, embeds)
        members = workers()
        assert len(members) == 3
        again = play_windows(together, vae, embeds)
    assert 0 < (alone - first).abs().max() < 1e-4
    assert torch.equal(first, again)
    assert workers() == members, "they were kept"
    TEAMS.end()
    assert gone(members)


def test_of_four_processes_the_one_that_was_killed_is_told_not_those_that_miss_it(
    files: TinyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CAUSE_S", "NOTICE_S"):  # however slow the machine is
        monkeypatch.setattr(team, name, 60.0)
    tell = SharedWindow._tell  # pyright: ignore[reportPrivateUsage]

    def told_and_killed(*arguments: Any) -> None:
        tell(*arguments)
        os.kill(TEAMS.team_for(together).workers[-1].pid, signal.SIGKILL)

    together, _ = with_gpus(load_model(files), "4")
    monkeypatch.setattr(SharedWindow, "_tell", told_and_killed)
    with torch.inference_mode(), pytest.raises(WorkerError, match=r"process 3 was ended by signal 9\. Queue"):
        play_windows(together, load_vae(files), speech(files, 9))
    assert workers() == []


def test_unloading_all_models_ends_workers_whose_model_the_host_has_not_loaded(files: TinyFiles) -> None:
    together, _ = with_gpus(load_model(files), "2")
    with CurrentNodeContext("prompt", "sampler"):
        TEAMS.team_for(together)
        members = workers()
        comfy.model_management.unload_all_models()
        assert workers() == members != [], "the node that samples with them unloads to make room"
    comfy.model_management.unload_all_models()
    assert gone(members)


def test_a_worker_that_cannot_load_says_why_and_no_other_stays(files: TinyFiles) -> None:
    model, vae, embeds = load_model(files), load_vae(files), speech(files, 9)
    together, _ = with_gpus(model, "2")
    content = files.talk.read_bytes()
    files.talk.write_bytes(b"not a model")
    try:
        with torch.inference_mode(), pytest.raises(WorkerError) as caught:
            play_windows(together, vae, embeds)
    finally:
        files.talk.write_bytes(content)
    assert str(caught.value).startswith("gpus: the worker on process 1: talk_model: ")
    assert workers() == []


def test_a_worker_that_fails_while_others_are_started_leaves_none_behind(
    files: TinyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, start_of = sys.executable, Team._start_of  # pyright: ignore[reportPrivateUsage]

    def slowly(team: Team, rank: int, recipe: Recipe) -> dict[str, Any]:
        monkeypatch.setattr(sys, "executable", python)
        deadline = time.monotonic() + 60
        while not team.workers[0].failure and time.monotonic() < deadline:
            time.sleep(0.05)
        return start_of(team, rank, recipe)

    monkeypatch.setattr(Team, "_start_of", slowly)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    together, _ = with_gpus(load_model(files), "4")
    with torch.inference_mode(), pytest.raises(WorkerError, match=r"process 1 ended with code 1"):
        play_windows(together, load_vae(files), speech(files, 9))
    assert workers() == []


def test_a_file_that_is_gone_is_told_by_its_name(files: TinyFiles) -> None:
    together, _ = with_gpus(load_model(files), "2")
    aside = files.talk.with_suffix(".aside")
    files.talk.rename(aside)
    try:
        with pytest.raises(InputError, match=r"model: .*talk.* cannot be read any more .* Put it back"):
            TEAMS.team_for(together)
    finally:
        aside.rename(files.talk)


@pytest.mark.parametrize("told", ["ten", "0", ""])
def test_a_team_that_cannot_begin_leaves_no_file(
    files: TinyFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str
) -> None:
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    monkeypatch.setenv(TIMEOUT, told)
    model: Any = load_model(files).clone()
    name = "diffusion_model.blocks.0.modulation"
    model.add_object_patch(name, torch.nn.Parameter(model.get_model_object(name), requires_grad=False))
    together, _ = with_gpus(model, "2")
    with pytest.raises(InputError, match=rf"{TIMEOUT} is '{told}', expected seconds .* restart ComfyUI"):
        TEAMS.team_for(together)
    assert workers() == []
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_whose_memory_does_not_suffice_is_told_with_what_to_do() -> None:
    error: Any = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
    assert said_of(error).startswith("its GPU's memory does not suffice. Choose a smaller size")
    assert said_of(ValueError("odd\nlines")) == "it failed: ValueError: odd"
