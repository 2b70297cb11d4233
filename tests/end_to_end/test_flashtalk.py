"""FlashTalk's windows in the real server, on the tiny models as one model folder of its form."""

from pathlib import Path
from typing import Any

import pytest
import torch
from comfy_client import Event, JobInterruptedError, TextEvent
from media_check import AAC_FRAME_SAMPLES, measure_video
from server_run import EMBEDS, MODEL, PROMPT, SAMPLER, Graph, Run, Stage, frames_of, samples_of
from tiny_folder import write_flashtalk

pytestmark = pytest.mark.host

FOLDER = "tiny-flashtalk-14B"
QUICK = {"scheduler": "flashtalk_2", "window_frames": 9, "motion_frames": 5}
SAMPLES = 640 * 11
"""Of 11 frames: three windows of 4 new frames."""


@pytest.fixture
def flash(stage: Stage, tiny_models: Path) -> Stage:
    """The stage, its server with a model folder of FlashTalk's."""
    if not (tiny_models / "diffusion_models" / FOLDER).exists():
        write_flashtalk(tiny_models, FOLDER)
    return stage


def flash_graph(stage: Stage, sound: str, **sampler: Any) -> Graph:
    graph = stage.graph(sound, **{**QUICK, **sampler})
    graph[MODEL]["inputs"] |= {"base_model": FOLDER, "talk_model": "in the base model", "mode": "auto"}
    return graph


def finished(run: Run) -> Run:
    assert run.error is None, run.error
    return run


@pytest.mark.parametrize(("scheduler", "steps"), [("flashtalk", 4), ("flashtalk_2", 2)])
def test_every_frame_of_speech_is_in_the_video_and_the_fixed_steps_are_told(
    flash: Stage, scheduler: str, steps: int
) -> None:
    run = finished(flash.run(flash_graph(flash, flash.speech(SAMPLES), scheduler=scheduler, steps=7)))
    video = measure_video(flash.video_path(run))
    assert video.num_frames == 11
    assert abs(video.sound.num_samples - SAMPLES) <= AAC_FRAME_SAMPLES
    told = [",".join(text.split(",")[:2]) for text in run.texts if ", step " in text]
    assert told == [
        f"Window {window} of 3, step {step}/{steps} ({scheduler}: fixed)"
        for window in (1, 2, 3)
        for step in range(1, steps + 1)
    ]
    texts = " ".join(run.texts)
    assert f"scheduler {scheduler} always runs its {steps} timesteps" in texts
    assert "steps=7, shift=11 and sampler_name=euler are not used" in texts
    assert "flashtalk mode" in texts
    assert "FlashTalk's weights were trained on 33 with 5" in texts


def test_speech_heard_as_a_stream_makes_another_video_of_the_same_length(flash: Stage) -> None:
    sound = flash.speech(640 * 30)
    videos: list[torch.Tensor] = []
    for hearing in ("whole", "stream"):
        graph = flash_graph(flash, sound, window_frames=33, filename_prefix=f"EverTalk/{hearing}")
        graph[EMBEDS]["inputs"]["hearing"] = hearing
        videos.append(frames_of(flash.video_path(finished(flash.run(graph)))))
    assert [len(video) for video in videos] == [30, 30]
    assert not torch.equal(*videos)


def test_an_interrupted_run_goes_on_and_gives_the_frames_of_an_undisturbed_one(flash: Stage) -> None:
    sound = flash.speech(SAMPLES)
    whole = flash.video_path(
        finished(flash.run(flash_graph(flash, sound, filename_prefix="EverTalk/undisturbed")))
    )
    graph = flash_graph(flash, sound)

    def interrupt_in_the_second_window(event: Event) -> None:
        if isinstance(event, TextEvent) and event.text.startswith("Window 2 of 3, step 1/2"):
            flash.client.interrupt()

    with pytest.raises(JobInterruptedError):
        flash.client.run(graph, interrupt_in_the_second_window, timeout_s=120)
    again = finished(flash.run(graph))
    assert any(text.startswith("resumed: 1 of 3 windows were finished") for text in again.texts)
    assert torch.equal(frames_of(flash.video_path(again)), frames_of(whole))
    assert torch.equal(samples_of(flash.video_path(again)), samples_of(whole))


def test_a_run_that_paused_goes_on_to_the_bytes_of_an_undisturbed_one(flash: Stage) -> None:
    sound = flash.speech(SAMPLES)
    whole = finished(flash.run(flash_graph(flash, sound, filename_prefix="EverTalk/not_paused")))
    graph = flash_graph(flash, sound, pause_after=2)
    paused = finished(flash.run(graph))
    assert "paused after window 2 of 3; queue again to go on" in paused.texts
    again = finished(flash.run(graph))
    assert any(text.startswith("resumed: 2 of 3 windows were finished") for text in again.texts)
    assert torch.equal(frames_of(flash.video_path(again)), frames_of(flash.video_path(whole)))
    assert torch.equal(samples_of(flash.video_path(again)), samples_of(flash.video_path(whole)))


def test_a_window_made_over_keeps_those_before_it(flash: Stage) -> None:
    graph = flash_graph(flash, flash.speech(SAMPLES))
    first = frames_of(flash.video_path(finished(flash.run(graph))))
    graph[SAMPLER]["inputs"]["window_seeds"] = "2: 99"
    run = finished(flash.run(graph))
    assert any(text.startswith("resumed: 1 of 3 windows were finished by") for text in run.texts)
    second = frames_of(flash.video_path(run))
    assert torch.equal(first[:4], second[:4])
    assert not torch.equal(first[4:8], second[4:8])
    graph[SAMPLER]["inputs"] |= {"filename_prefix": "EverTalk/seeded_at_once"}
    at_once = finished(flash.run(graph))
    assert torch.equal(second, frames_of(flash.video_path(at_once))), (
        "as if it had had that seed from the start"
    )


def negative(graph: Graph) -> None:
    graph[SAMPLER]["inputs"]["negative"] = [PROMPT, 0]


def guidance(graph: Graph) -> None:
    scales = {"text_scale": 3.0, "audio_scale": 3.0, "audio_start_percent": 0.0, "audio_end_percent": 1.0}
    apg = {"apg": False, "apg_momentum": -0.75, "apg_norm_threshold": 55.0}
    graph["20"] = {"class_type": "EverTalkGuidance", "inputs": scales | apg}
    graph[SAMPLER]["inputs"]["guidance"] = ["20", 0]


def latents(graph: Graph) -> None:
    graph[SAMPLER]["inputs"]["output"] = "latent"


def other_scheduler(graph: Graph) -> None:
    graph[SAMPLER]["inputs"]["scheduler"] = "multitalk"


def other_weights(graph: Graph) -> None:
    names = {
        "base_model": "evertalk_tiny_wan_i2v.safetensors",
        "talk_model": "evertalk_tiny_infinitetalk.safetensors",
    }
    graph[MODEL]["inputs"] |= names


def two_speakers(graph: Graph) -> None:
    sound = graph[EMBEDS]["inputs"].pop("audio")
    graph["21"] = {
        "class_type": "EverTalkSpeakers",
        "inputs": {"audio_a": sound, "audio_b": sound, "arrangement": "para", "timeline": "", "boxes": ""},
    }
    graph[EMBEDS]["inputs"]["speakers"] = ["21", 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (negative, "negative: something is connected, but FlashTalk's weights"),
        (guidance, "guidance: something is connected, but FlashTalk's weights"),
        (latents, "output: 'latent', but scheduler flashtalk_2 drops frames of windows"),
        (other_scheduler, f"scheduler: multitalk, but {FOLDER} is loaded with mode flashtalk"),
        (other_weights, "scheduler: flashtalk_2 belongs to FlashTalk's weights, but evertalk_tiny_wan"),
    ],
)
def test_what_does_not_apply_is_refused_before_weights_load(flash: Stage, change: Any, message: str) -> None:
    graph = flash_graph(flash, flash.speech(SAMPLES))
    change(graph)
    run = flash.run(graph)
    assert message in run.refusal
    assert MODEL not in run.nodes


def test_several_speakers_are_refused_before_the_model_loads(flash: Stage) -> None:
    graph = flash_graph(flash, flash.speech(SAMPLES))
    two_speakers(graph)
    run = flash.run(graph)
    assert "audio_embeds: 2 speakers, but FlashTalk's weights know one voice" in run.refusal
    assert MODEL not in run.nodes
