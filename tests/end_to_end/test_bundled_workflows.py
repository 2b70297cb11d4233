"""Every bundled workflow in the real server, tiny models in the real ones' place."""

import json
from pathlib import Path
from typing import Any

import pytest
from server_run import Graph, Stage, frames_of
from tiny_folder import write_flashtalk, write_skyreels
from tiny_workflows import tiny_of

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "workflows" / "api"
MEDIA = ROOT / "demo" / "media"
VIDEO_FRAMES = 17
WHOLE = {"flashtalk": "SoulX-FlashTalk-14B", "skyreels": "SkyReels-V3-A2V-19B"}
"""As in the workflows: the tiny folders have the names of the real ones."""

SKY_WINDOWS = {"skyreels": {"window_frames": 17, "motion_frames": 1}}
"""Frames that they let go do not fit into shorter ones; the speech is one window long."""


def tiny_graph(stage: Stage, name: str, **sampler: Any) -> Graph:
    """A bundled workflow, small, with the tiny models."""
    graph: Graph = json.loads((FOLDER / f"{name}.api.json").read_text())
    mode = name.partition("_")[0]
    tiny = tiny_of(graph, stage.speech(VIDEO_FRAMES * 640), **SKY_WINDOWS.get(mode, {}), **sampler)
    for node in tiny.values():
        if node["class_type"] == "EverTalkModelLoader" and mode in WHOLE:
            node["inputs"] |= {"base_model": WHOLE[mode], "talk_model": "in the base model"}
    return tiny


@pytest.mark.parametrize(
    ("name", "voices"),
    [
        ("infinitetalk_image", 1),
        ("infinitetalk_two_people", 2),
        ("infinitetalk_dub_video", 1),
        ("infinitetalk_directed", 1),
        ("multitalk_image", 1),
        ("flashtalk_image", 1),
        ("skyreels_image", 1),
    ],
)
def test_workflow_runs_to_a_video_of_the_exact_length(stage: Stage, name: str, voices: int) -> None:
    for media in ("two_people.jpg", "clip.mp4"):
        stage.client.upload(MEDIA / media)
    write_flashtalk(stage.server.models, WHOLE["flashtalk"])
    write_skyreels(stage.server.models, WHOLE["skyreels"])
    graph = tiny_graph(stage, name)
    run = stage.run(graph)
    assert run.error is None, run.error
    assert run.outcome is not None
    kinds = {node["class_type"]: node_id for node_id, node in graph.items()}
    (summary,) = run.outcome.outputs[kinds["EverTalkSampler"]]["evertalk"]
    path = Path(summary["path"])
    assert frames_of(path).shape == (VIDEO_FRAMES * voices, 64, 64, 3)
    if "EverTalkDecode" in kinds:
        (shown,) = run.outcome.outputs[kinds["EverTalkDecode"]]["images"]
        assert path == stage.server.output / shown["subfolder"] / shown["filename"]
    told = "\n".join(run.texts)
    mode = name.partition("_")[0]
    assert f"{mode} mode" in told
    if mode == "skyreels":
        assert "The first clip, step 4/4" in told
        assert "Window 1 of 1 made" in told
        return
    # FlashTalk's first window gives up its first frames too.
    unseen = 0 if mode == "flashtalk" else 5
    num_windows = (VIDEO_FRAMES * voices - unseen + 3) // 4
    assert f"Window {num_windows} of {num_windows} made" in told
