"""What the estimate says of a sampler whose settings are not of its model, and which are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_tiny
import pytest
from tiny_folder import write_flashtalk, write_skyreels
from tiny_host import TinyFiles

pytestmark = pytest.mark.host

FOLDER = "SoulX-FlashTalk-14B"
SKY_FOLDER = "SkyReels-V3-A2V-19B"
WHOLE = {"base_model": FOLDER, "talk_model": "in the base model", "mode": "auto"}
HALVES = {
    "base_model": Path(make_tiny.BASE_FILE).name,
    "talk_model": Path(make_tiny.TALK_FILE).name,
    "mode": "auto",
}
FLASHTALK: dict[str, Any] = {
    "scheduler": "flashtalk",
    "size": "custom",
    "width": 448,
    "height": 768,
    "window_frames": 33,
    "motion_frames": 5,
}
INFINITETALK: dict[str, Any] = {
    "scheduler": "multitalk",
    "size": "480p",
    "window_frames": 81,
    "motion_frames": 9,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The host's models folder, with the tiny models as two files and as FlashTalk's folder."""
    import folder_paths

    models = tmp_path_factory.mktemp("models")
    TinyFiles.made_in(models)
    write_flashtalk(models, FOLDER)
    write_skyreels(models, SKY_FOLDER)
    kept = {name: folder_paths.folder_names_and_paths[name] for name in ("diffusion_models", "model_patches")}
    for name, (_, extensions) in kept.items():
        folder_paths.folder_names_and_paths[name] = ([str(models / name)], extensions)
    folder_paths.filename_list_cache.clear()
    yield models
    folder_paths.folder_names_and_paths.update(kept)
    folder_paths.filename_list_cache.clear()


def told(loader: dict[str, Any], kind: str = "EverTalkModelLoader", **sampler: Any) -> Any:
    from evertalk_pack.nodes.host.run.estimate import estimate_of

    inputs = {"model": ["3", 0], **INFINITETALK, "width": 832, "height": 480, **sampler}
    prompt = {
        "3": {"class_type": kind, "inputs": loader},
        "8": {"class_type": "EverTalkSampler", "inputs": inputs},
    }
    return estimate_of(prompt, "8")


@pytest.mark.usefixtures("models")
def test_a_model_folder_of_flashtalk_brings_its_scheduler_size_and_windows() -> None:
    estimate = told(WHOLE)
    assert f"scheduler: multitalk, but {FOLDER} is loaded with mode flashtalk" in estimate.problem
    assert estimate.suggested == FLASHTALK
    fitting = told(WHOLE, **FLASHTALK)
    assert (fitting.problem, fitting.suggested) == ("", {})
    assert (fitting.width, fitting.height) == (448, 768)


@pytest.mark.usefixtures("models")
def test_a_model_folder_of_skyreels_brings_its_scheduler_and_windows() -> None:
    sky = {**WHOLE, "base_model": SKY_FOLDER}
    estimate = told(sky, **FLASHTALK)
    assert f"scheduler: flashtalk, but {SKY_FOLDER} is loaded with mode skyreels" in estimate.problem
    assert estimate.suggested == {**INFINITETALK, "scheduler": "skyreels", "motion_frames": 5}
    fitting = told(sky, **estimate.suggested)
    assert (fitting.problem, fitting.suggested) == ("", {})
    assert "scheduler: skyreels belongs to SkyReels-V3's" in told(HALVES, scheduler="skyreels").problem


@pytest.mark.usefixtures("models")
def test_other_weights_bring_theirs_back() -> None:
    estimate = told(HALVES, **FLASHTALK)
    assert "scheduler: flashtalk belongs to FlashTalk's weights" in estimate.problem
    assert estimate.suggested == INFINITETALK
    assert told({**HALVES, "mode": "multitalk"}, **FLASHTALK).suggested == {
        **INFINITETALK,
        "motion_frames": 25,
    }
    assert told(HALVES).suggested == {}
    apply = {"talk_model": FOLDER, "mode": "auto"}
    assert told(apply, "EverTalkApply").suggested == FLASHTALK


@pytest.mark.usefixtures("models")
def test_what_is_not_known_or_will_be_refused_suggests_nothing() -> None:
    changes: list[dict[str, Any]] = [{"base_model": "gone"}, {"mode": "multitalk"}, {"mode": 7}]
    for loader in ({}, *({**WHOLE, **change} for change in changes)):
        estimate = told(loader)
        assert (estimate.problem, estimate.suggested) == ("", {})


@pytest.mark.usefixtures("models")
def test_what_primitives_bring_to_the_loader_counts() -> None:
    from evertalk_pack.nodes.host.run.estimate import estimate_of

    prompt = {
        "2": {"class_type": "PrimitiveString", "inputs": {"value": FOLDER}},
        "3": {"class_type": "EverTalkModelLoader", "inputs": {**WHOLE, "base_model": ["2", 0]}},
        "8": {"class_type": "EverTalkSampler", "inputs": {"model": ["3", 0], **INFINITETALK}},
    }
    assert estimate_of(prompt, "8").suggested == FLASHTALK


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("gpus", "problem"),
    [
        ("2", ""),
        ("auto", ""),
        ("3", "gpus: 3 GPUs cannot share the 2 attention heads"),
        ("5", "gpus: 5 were"),
    ],
)
def test_gpus_that_cannot_share_the_model_are_told_and_its_settings_go_through_the_nodes_between(
    monkeypatch: pytest.MonkeyPatch, gpus: str, problem: str
) -> None:
    from evertalk_pack.nodes.host.parallel.machine import ON_CPU
    from evertalk_pack.nodes.host.run.estimate import estimate_of

    monkeypatch.setenv(ON_CPU, "4")
    prompt: dict[str, Any] = {
        "3": {"class_type": "EverTalkModelLoader", "inputs": {**WHOLE, "quantization": "as stored"}},
        "4": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["3", 0]}},
        "5": {"class_type": "EverTalkParallel", "inputs": {"model": ["4", 0], "gpus": gpus}},
        "6": {"class_type": "EverTalkStepCache", "inputs": {"model": ["5", 0]}},
        "8": {"class_type": "EverTalkSampler", "inputs": {"model": ["6", 0], **INFINITETALK}},
    }
    assert estimate_of(prompt, "8").suggested == FLASHTALK
    prompt["8"]["inputs"] |= FLASHTALK
    told = estimate_of(prompt, "8").problem
    assert told.startswith(problem) if problem else not told
