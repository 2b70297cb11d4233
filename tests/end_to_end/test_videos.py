"""Whole runs in the real server: how long the video is, what is told on the way, and what other nodes see."""

from pathlib import Path

import pytest
import torch
from comfy_client import Event, JobInterruptedError, TextEvent
from media_check import AAC_FRAME_SAMPLES, measure_video
from server_run import DECODE, MODEL, RATE_HZ, SAMPLER, SIDE_PX, Run, Stage, frames_of, samples_of

pytestmark = pytest.mark.host

QUICK = {"window_frames": 9, "motion_frames": 5}
FPS = 25


def finished(run: Run) -> Run:
    assert run.error is None, run.error
    return run


@pytest.mark.parametrize(
    ("num_samples", "frames", "windows"),
    [
        (1, 1, 1),
        (1600, 2, 1),
        (51840, 81, 1),  # exactly one window
        (52480, 82, 2),
        (139200, 217, 3),
    ],
)
def test_the_video_is_as_long_as_the_speech(
    stage: Stage, num_samples: int, frames: int, windows: int
) -> None:
    run = finished(stage.run(stage.graph(stage.speech(num_samples))))
    video = measure_video(stage.video_path(run))
    assert video.num_frames == frames == max(1, round(FPS * (num_samples / RATE_HZ)))
    assert abs(video.sound.num_samples - num_samples) <= AAC_FRAME_SAMPLES
    assert (video.width_px, video.height_px) == (SIDE_PX, SIDE_PX)
    assert f"{frames} frames, {windows} windows of 81 frames" in " ".join(run.texts)


@pytest.mark.parametrize("steps", [1, 20])
def test_multitalk_schedule_counts_to_four_in_every_window_whatever_steps_is(
    stage: Stage, steps: int
) -> None:
    graph = stage.graph(stage.speech(8320), scheduler="multitalk", steps=steps, **QUICK)
    texts = finished(stage.run(graph)).texts
    told = [text.split(",")[0] + "," + text.split(",")[1] for text in texts if ", step " in text]
    assert told == [
        f"Window {window} of 2, step {step}/4 (multitalk: fixed)"
        for window in (1, 2)
        for step in (1, 2, 3, 4)
    ]
    assert any(f"steps={steps} is not used" in text for text in texts)


def test_a_finished_run_says_too_that_steps_are_not_used(stage: Stage) -> None:
    graph = stage.graph(stage.speech(1600), scheduler="multitalk", steps=4, **QUICK)
    video = stage.video_path(finished(stage.run(graph)))
    graph[SAMPLER]["inputs"]["steps"] = 200
    again = finished(stage.run(graph))
    assert stage.video_path(again) == video
    assert not any(", step " in text for text in again.texts), "nothing is sampled"
    assert any("steps=200 is not used" in text for text in again.texts)


@pytest.mark.parametrize("scheduler", ["infinitetalk", "simple"])
def test_other_schedules_count_to_steps(stage: Stage, scheduler: str) -> None:
    graph = stage.graph(stage.speech(5760), scheduler=scheduler, steps=2, **QUICK)
    texts = finished(stage.run(graph)).texts
    assert [text.split(",")[1] for text in texts if ", step " in text] == [" step 1/2", " step 2/2"]
    assert not any("is not used" in text for text in texts)


def test_core_nodes_save_and_preview_the_outputs_of_decode(stage: Stage) -> None:
    graph = stage.graph(stage.speech(8320), **QUICK)
    graph["20"] = {
        "class_type": "SaveVideo",
        "inputs": {"video": [DECODE, 1], "filename_prefix": "copy", "format": "auto", "codec": "auto"},
    }
    graph["21"] = {"class_type": "PreviewImage", "inputs": {"images": [DECODE, 0]}}
    graph["22"] = {
        "class_type": "SaveImage",
        "inputs": {"images": [DECODE, 0], "filename_prefix": stage.folder.name},
    }
    graph["23"] = {"class_type": "PreviewAny", "inputs": {"source": [DECODE, 2]}}
    run = finished(stage.run(graph))
    assert run.outcome is not None
    outputs = run.outcome.outputs
    made = stage.video_path(run)
    copied = stage.server.output / outputs["20"]["images"][0]["filename"]
    assert torch.equal(frames_of(copied), frames_of(made))
    assert torch.equal(samples_of(copied), samples_of(made))
    assert len(outputs["21"]["images"]) == len(outputs["22"]["images"]) == 13
    assert outputs["23"]["text"] == [str(made)]


def test_latent_output_decodes_to_the_frames_of_the_video_form(stage: Stage) -> None:
    sound = stage.speech(5760)
    video = stage.graph(sound, **QUICK)
    latent = stage.graph(sound, output="latent", **QUICK)
    made = stage.video_path(finished(stage.run(video)))
    decoded = stage.video_path(finished(stage.run(latent)))
    assert decoded.is_relative_to(stage.server.base / "temp")
    difference = (frames_of(made).float() - frames_of(decoded).float()).abs()
    assert difference.mean() < 3, "of 255: what two encodings may differ by"
    assert frames_of(made).float().std() > 20, "a picture with contrast, so that the bound says something"
    assert torch.equal(samples_of(made), samples_of(decoded))


def test_apply_on_the_core_loader_s_model_makes_the_loader_s_video(stage: Stage) -> None:
    sound = stage.speech(5760)
    loaded = stage.graph(sound, **QUICK)
    applied = stage.graph(sound, **QUICK)
    inputs = applied[MODEL]["inputs"]
    applied["20"] = {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": inputs["base_model"], "weight_dtype": "default"},
    }
    choice = {name: inputs[name] for name in ("talk_model", "mode", "attention_mode")}
    applied[MODEL] = {"class_type": "EverTalkApply", "inputs": {"model": ["20", 0], **choice}}
    first, second = (stage.video_path(finished(stage.run(graph))) for graph in (loaded, applied))
    assert torch.equal(frames_of(first), frames_of(second))


def test_decode_of_a_saved_video_does_not_need_the_vae(stage: Stage) -> None:
    graph = stage.graph(stage.speech(5760), **QUICK)
    del graph[DECODE]["inputs"]["vae"]
    run = finished(stage.run(graph))
    assert measure_video(stage.video_path(run)).num_frames == 9


def test_decode_of_latents_without_a_vae_asks_for_one(stage: Stage) -> None:
    graph = stage.graph(stage.speech(5760), output="latent", **QUICK)
    del graph[DECODE]["inputs"]["vae"]
    assert "vae: nothing is connected" in stage.run(graph).refusal


def test_the_same_prompt_gives_the_same_frames_and_sound(stage: Stage) -> None:
    sound = stage.speech(8320)
    runs = [
        stage.run(stage.graph(sound, seed=seed, filename_prefix=f"EverTalk/{name}", **QUICK))
        for seed, name in ((7, "first"), (7, "second"), (8, "other"))
    ]
    first, second, other = (stage.video_path(finished(run)) for run in runs)
    assert first != second
    assert torch.equal(frames_of(first), frames_of(second))
    assert torch.equal(samples_of(first), samples_of(second))
    assert not torch.equal(frames_of(first), frames_of(other)), "the seed matters"


def test_a_run_is_not_made_again_while_its_inputs_stay(stage: Stage) -> None:
    graph = stage.graph(stage.speech(5760), **QUICK)
    finished(stage.run(graph))
    again = finished(stage.run(graph))
    assert again.outcome is not None
    assert SAMPLER in again.outcome.cached_nodes


def test_an_interrupted_run_leaves_its_windows_as_a_playable_file_and_the_server_goes_on(
    stage: Stage,
) -> None:
    graph = stage.graph(stage.speech(64000), **QUICK)
    run = Run()

    def interrupt_in_the_third_window(event: Event) -> None:
        run.note(event)
        if isinstance(event, TextEvent) and event.text.startswith("Window 3 of 24, step 1/4"):
            stage.client.interrupt()

    with pytest.raises(JobInterruptedError):
        stage.client.run(graph, interrupt_in_the_third_window, timeout_s=120)
    (rescued,) = (stage.server.output / "EverTalk").glob(f"{stage.folder.name}_*_incomplete.mp4")
    video = measure_video(rescued)
    assert 13 <= video.num_frames < 100
    assert (video.num_frames - 9) % 4 == 0, "whole windows"
    assert abs(video.sound.duration_s - video.num_frames / FPS) <= 2 * AAC_FRAME_SAMPLES / RATE_HZ
    assert list(rescued.parent.glob(f"{stage.folder.name}_*.part.mp4")) == []

    second = finished(stage.run(stage.graph(stage.speech(5760), **QUICK)))
    assert measure_video(stage.video_path(second)).num_frames == 9


def test_nothing_is_written_outside_the_output_and_temp_folders(stage: Stage) -> None:
    before = files_below(stage.server.base)
    finished(stage.run(stage.graph(stage.speech(5760), **QUICK)))
    new = {path for path in files_below(stage.server.base) - before if "user" not in path.parts}
    allowed = (stage.server.output, stage.server.base / "temp", stage.server.base / "input")
    assert new, "the video is new"
    assert [path for path in new if not any(path.is_relative_to(folder) for folder in allowed)] == []


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
