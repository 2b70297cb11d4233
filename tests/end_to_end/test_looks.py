"""Guidance, schedule and look in the real server, on the demo's graph, small."""

import re
from typing import Any

import pytest
from server_run import MODEL, PROMPT, SAMPLER, SIDE_PX, WEIGHTS, Graph, Run, Stage, frames_of

pytestmark = pytest.mark.host

VIDEO_FRAMES = 17
SAMPLES = VIDEO_FRAMES * 640
WINDOWS = {"window_frames": 9, "motion_frames": 5}
NEGATIVE, BLACK, WHITE, BATCH, GUIDANCE, SCHEDULE, LOOK = "20", "21", "22", "23", "24", "25", "26"
GUIDE = {
    "text_scale": 1.0,
    "audio_scale": 2.0,
    "apg": True,
    "apg_momentum": -0.75,
    "apg_norm_threshold": 55.0,
    "audio_start_percent": 0.0,
    "audio_end_percent": 0.5,
}
LOOKS = {
    "colour_match": "lab",
    "colour_strength": 0.8,
    "blend_frames": 3,
    "zoom": 1.1,
    "pan_x": 2.0,
    "pan_y": 0.0,
}
STILL = {
    "colour_match": "off",
    "colour_strength": 1.0,
    "blend_frames": 0,
    "zoom": 1.0,
    "pan_x": 0.0,
    "pan_y": 0.0,
}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def graph_with(
    stage: Stage, looks: dict[str, Any], times: str = "0s: 1; 0.5s: 2", prompts: str = ""
) -> Graph:
    """The demo's graph with all three nodes: a dark picture, then a light one from the third window on."""
    graph = stage.graph(stage.speech(SAMPLES), **WINDOWS)
    graph[BLACK] = node("EmptyImage", width=80, height=64, batch_size=1, color=0x303030)
    graph[WHITE] = node("EmptyImage", width=80, height=64, batch_size=1, color=0xD0D0D0)
    graph[BATCH] = node("ImageBatch", image1=[BLACK, 0], image2=[WHITE, 0])
    graph[GUIDANCE] = node("EverTalkGuidance", **GUIDE)
    graph[SCHEDULE] = node("EverTalkSchedule", prompts=prompts, picture_times=times, pictures=[BATCH, 0])
    graph[LOOK] = node("EverTalkLook", **looks)
    graph[SAMPLER]["inputs"] |= {"guidance": [GUIDANCE, 0], "schedule": [SCHEDULE, 0], "look": [LOOK, 0]}
    return graph


def reports_in(run: Run) -> list[tuple[float, float | None]]:
    """Drift and seam of each window, as the node showed them."""
    pattern = r"Window \d of \d made: [\d.]+ s, colour drift ([\d.]+)(?:, seam ([\d.]+))?"
    found = [match for text in run.texts if (match := re.fullmatch(pattern, text))]
    return [(float(match[1]), float(match[2]) if match[2] else None) for match in found]


def test_all_three_nodes_together_give_a_video_of_the_exact_length_and_say_what_they_did(
    stage: Stage,
) -> None:
    run = stage.run(graph_with(stage, LOOKS))
    assert run.error is None, run.error
    assert frames_of(stage.video_path(run)).shape == (VIDEO_FRAMES, SIDE_PX, SIDE_PX, 3)
    told = "\n".join(run.texts)
    assert "guidance: text_scale 1 and audio_scale 2 from the socket" in told
    assert "schedule: its pictures take the place of start_image" in told
    reports = reports_in(run)
    assert [seam is None for _, seam in reports] == [True, False, False]


def test_pictures_change_with_the_windows(stage: Stage) -> None:
    run = stage.run(graph_with(stage, STILL))
    assert run.error is None, run.error
    levels = frames_of(stage.video_path(run)).float().mean(dim=(1, 2, 3))
    assert levels[:9].max() < 100
    assert levels[-1] > levels[8] + 30
    drifts = [drift for drift, _ in reports_in(run)]
    assert drifts[2] > drifts[0] + 5


def test_colour_match_holds_the_first_picture_against_the_second(stage: Stage) -> None:
    free, held = (stage.run(graph_with(stage, STILL | {"colour_match": name})) for name in ("off", "mkl"))
    assert held.error is None, held.error
    assert reports_in(held)[2][0] < reports_in(free)[2][0] / 4


def test_a_soft_join_keeps_the_length_and_all_but_the_blended_frames(stage: Stage) -> None:
    hard, soft = (
        frames_of(stage.video_path(stage.run(graph_with(stage, STILL | {"blend_frames": blend}))))
        for blend in (0, 3)
    )
    assert len(hard) == len(soft) == VIDEO_FRAMES
    change = (hard.float() - soft.float()).abs().mean(dim=(1, 2, 3))
    assert change[10:13].min() > change[:5].max() + 0.1, "the shared frames' two renderings, and the codec"


def test_wrong_schedule_is_refused_when_queued_and_pointed_at(stage: Stage) -> None:
    run = stage.run(graph_with(stage, STILL, prompts="0s: she smiles; soon: she waves"))
    assert "prompts: expected a time such as 12.5s or 0:12.5 (character 17)" in run.refusal
    assert run.nodes == []


def test_wrong_picture_number_is_refused_before_the_model_loads(stage: Stage) -> None:
    run = stage.run(graph_with(stage, STILL, times="0s: 1; 0.5s: 3"))
    assert "picture_times: '3' is not a picture; write its number, 1 to 2" in run.refusal
    assert not {MODEL, PROMPT} & set(run.nodes)


def test_text_scale_of_the_guidance_socket_needs_a_negative_prompt_before_weights_load(stage: Stage) -> None:
    graph = graph_with(stage, STILL)
    graph[GUIDANCE]["inputs"]["text_scale"] = 5.0
    run = stage.run(graph)
    assert "negative: nothing is connected, but text_scale 5" in run.refusal
    assert not WEIGHTS & set(run.nodes)
