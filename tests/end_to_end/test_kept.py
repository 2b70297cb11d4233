"""Encodings that the server keeps between jobs: said, with the same result, and freed with the models."""

import re

import pytest
import torch
from server_run import SAMPLER, SPEECH, Graph, Run, Stage, frames_of

pytestmark = pytest.mark.host

KEPT = "Not encoded again, kept from before: {}"
KEPT_NOW = r"kept for later runs: (.*), ([0-9.]+) MB \(([0-9.]+) of 268 MB\)"
QUICK = {"window_frames": 9, "motion_frames": 5}


def frames(stage: Stage, run: Run) -> torch.Tensor:
    """A run's video."""
    assert run.error is None, run.error
    return frames_of(stage.video_path(run))


def with_seed(graph: Graph, seed: int, prefix: str) -> Graph:
    """The same job with other noise, whose windows are kept elsewhere."""
    changed = {"seed": seed, "filename_prefix": f"EverTalk/{prefix}"}
    return {**graph, SAMPLER: {**graph[SAMPLER], "inputs": {**graph[SAMPLER]["inputs"], **changed}}}


def summary(run: Run) -> dict[str, object]:
    """What the server tells programs of a run."""
    assert run.outcome is not None, run.error
    (told,) = run.outcome.outputs[SAMPLER]["evertalk"]
    return told


def test_the_next_job_does_not_encode_the_same_picture_and_speech(stage: Stage) -> None:
    graph = stage.graph(stage.speech(8320), **QUICK)
    assert stage.run(with_seed(graph, 1, f"{stage.folder.name}_first")).error is None
    # The same sound in another file, which ComfyUI's own cache does not know.
    graph[SPEECH]["inputs"]["audio"] = stage.speech(8320)
    second = stage.run(with_seed(graph, 2, f"{stage.folder.name}_second"))
    assert {KEPT.format("the run's picture"), KEPT.format("a person's speech")} <= set(second.texts)
    assert summary(second)["kept"] == ["the run's picture"]
    stage.client.forget()
    before = len(stage.server.log)
    third = stage.run(with_seed(graph, 2, f"{stage.folder.name}_third"))
    assert not [text for text in third.texts if text.startswith(KEPT.format(""))]
    assert summary(third)["kept"] == []
    assert torch.equal(frames(stage, third), frames(stage, second))
    held = re.findall(KEPT_NOW, stage.server.log[before:])
    assert [what for what, _, _ in held] == ["a person's speech", "the run's picture"]
    assert held[0][1] == held[0][2], "Free Memory freed what was kept before"
