"""A soundtrack in place of the speech, in the real server: what is heard, what moves, what is said."""

import pytest
import torch
from media_check import AAC_FRAME_SAMPLES
from server_run import EMBEDS, RATE_HZ, SAMPLER, SPEECH, Graph, Run, Stage, frames_of, samples_of

pytestmark = pytest.mark.host

QUICK = {"window_frames": 9, "motion_frames": 5}
TONE_HZ = 440
SECONDS = 1.0


def tone(seconds: float) -> torch.Tensor:
    return 0.5 * (2 * torch.pi * TONE_HZ * torch.arange(round(seconds * RATE_HZ)) / RATE_HZ).sin()[None]


def with_soundtrack(graph: Graph, stage: Stage, samples_CT: torch.Tensor) -> Graph:
    name = stage.speech(0, samples=samples_CT)
    graph["30"] = {"class_type": "LoadAudio", "inputs": {"audio": name}}
    graph[EMBEDS]["inputs"]["soundtrack"] = ["30", 0]
    return graph


def finished(run: Run) -> Run:
    assert run.error is None, run.error
    return run


def loudest_hz(samples_CT: torch.Tensor) -> float:
    spectrum = torch.fft.rfft(samples_CT[0].float()).abs()
    return float(spectrum.argmax()) * RATE_HZ / samples_CT.shape[1]


def test_lips_follow_the_speech_and_the_soundtrack_is_heard(stage: Stage) -> None:
    speech = stage.speech(round(SECONDS * RATE_HZ))
    plain = stage.graph(speech, **QUICK)
    heard = with_soundtrack(stage.graph(speech, **QUICK), stage, tone(1.5))
    heard["3"] = plain["3"]  # the same model: the number of its own is for other tests
    run = finished(stage.run(heard))
    assert any("soundtrack: it lasts 1.50 s, the speech 1.00 s" in text for text in run.texts)
    video, other = stage.video_path(run), stage.video_path(finished(stage.run(plain)))
    assert torch.equal(frames_of(video), frames_of(other)), "the same speech moves the same lips"
    sound = samples_of(video)
    assert abs(sound.shape[1] - SECONDS * RATE_HZ) <= AAC_FRAME_SAMPLES
    assert loudest_hz(sound) == pytest.approx(TONE_HZ, abs=5)
    assert loudest_hz(samples_of(other)) != pytest.approx(TONE_HZ, abs=5)


def test_stopped_run_goes_on_under_another_soundtrack_with_the_windows_that_it_has(stage: Stage) -> None:
    graph = stage.graph(stage.speech(round(SECONDS * RATE_HZ)), pause_after=2, **QUICK)
    finished(stage.run(graph))
    later = with_soundtrack({**graph}, stage, tone(SECONDS))
    later[SAMPLER]["inputs"]["pause_after"] = 0
    run = finished(stage.run(later))
    steps = [text for text in run.texts if text.startswith(("Window 1 of", "Window 2 of"))]
    assert steps == [], "they are the same windows, whatever is heard"
    assert any(text.startswith("Window 3 of 5") for text in run.texts)
    assert loudest_hz(samples_of(stage.video_path(run))) == pytest.approx(TONE_HZ, abs=5)


def test_soundtrack_is_no_speech(stage: Stage) -> None:
    graph = with_soundtrack(stage.graph(stage.speech(5760), **QUICK), stage, tone(SECONDS))
    del graph[EMBEDS]["inputs"]["audio"]
    del graph[SPEECH]
    assert "audio: there is no sound" in stage.run(graph).refusal
