"""A clip is dubbed in the real server, with tiny models at 64x64."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from comfy_client import JobError, TextEvent
from comfy_server import ComfyServer
from dub_graph import DECODE, SAMPLER, SIDE_PX, SPEECH, Graph, dub_graph
from evertalk_pack.multitalk.media.video_reader import read_frames
from PIL import Image
from source_clips import grey, write_clip

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
CUT_S, LENGTH_S = 0.8, 1.6


@pytest.fixture(scope="module")
def server(
    comfy_server: ComfyServer, tiny_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> ComfyServer:
    """The server with a clip of two scenes at 29.97 frames a second, dark and bright, and masks over it."""
    del tiny_models
    folder = tmp_path_factory.mktemp("clips")
    ntsc = Fraction(30000, 1001)
    times_s = [float(k / ntsc) for k in range(int(LENGTH_S * ntsc))]
    pictures = [(time_s, grey(40 if time_s < CUT_S else 200)) for time_s in times_s]
    write_clip(folder / "scenes.mp4", pictures, sound_s=LENGTH_S)
    write_clip(folder / "mute.mp4", pictures)
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    mask[32:] = 255
    Image.fromarray(mask).convert("RGB").save(folder / "lower_half.png")
    for file in folder.iterdir():
        comfy_server.client.upload(file)
    comfy_server.client.upload(ROOT / "demo" / "media" / "portrait.jpg")
    return comfy_server


def run(server: ComfyServer, graph: Graph) -> tuple[torch.Tensor, list[str]]:
    """The video's frames, and what the nodes said."""
    texts: list[str] = []
    outcome = server.client.run(
        graph, lambda event: texts.append(event.text) if isinstance(event, TextEvent) else None
    )
    (shown,) = outcome.outputs[DECODE]["images"]
    return read_frames(server.output / shown["subfolder"] / shown["filename"]), texts


def test_dubbed_clip_begins_afresh_at_its_cut(server: ComfyServer) -> None:
    frames_FHWC, texts = run(server, dub_graph("scenes.mp4", scene_cuts="detect"))
    assert len(frames_FHWC) == pytest.approx(LENGTH_S * 25, abs=3)
    assert any("another scene begins at 0.84 s" in text for text in texts)
    # 21 frames in windows of 17, then 4 more; the scene behind the cut the same
    assert any("4 windows of 17 frames" in text for text in texts), texts


def test_region_keeps_the_clip_outside_and_reports_the_drift(server: ComfyServer) -> None:
    frames_FHWC, texts = run(server, dub_graph("scenes.mp4", region=True))
    outside_FHWC = frames_FHWC[:, :26]
    # the frame at 0.80 s is the clip's of 0.77 s: the bright scene's first comes at 0.8008 s
    expected_F = torch.tensor([40 / 255 if k <= CUT_S * 25 else 200 / 255 for k in range(len(frames_FHWC))])
    assert float((outside_FHWC.mean(dim=(1, 2, 3)) - expected_F).abs().max()) < 0.02
    assert float((frames_FHWC[:, 34:].mean(dim=(1, 2, 3)) - expected_F).abs().max()) > 0.02
    assert any("outside the region by" in text for text in texts)


def test_windows_of_a_clip_without_the_region_do_not_count_as_finished_ones_with_it(
    server: ComfyServer,
) -> None:
    def left(graph: Graph) -> str:
        graph[SAMPLER]["inputs"]["filename_prefix"] = "EverTalk/regions"
        return next(text for text in run(server, graph)[1] if text.startswith("preflight: "))

    assert "left to make" not in left(dub_graph("scenes.mp4"))
    assert "left to make" not in left(dub_graph("scenes.mp4", region=True))
    server.client.forget()
    assert "(0 left to make)" in left(dub_graph("scenes.mp4", region=True))


def test_low_denoise_runs_the_last_of_the_fixed_steps_alone(server: ComfyServer) -> None:
    _, texts = run(server, dub_graph("scenes.mp4", denoise=0.25))
    assert any("step 1/1" in text for text in texts)
    assert any("the last 1 of multitalk's timesteps run (250)" in text for text in texts)


def test_audio_of_a_clip_without_sound_is_refused_only_where_it_is_connected(server: ComfyServer) -> None:
    graph = dub_graph("mute.mp4")
    with pytest.raises(JobError, match=r"audio: mute\.mp4 has no sound track"):
        server.client.run(graph)
    graph[SPEECH] = {"class_type": "LoadAudio", "inputs": {"audio": "scenes.mp4"}}
    graph["7"]["inputs"]["audio"] = [SPEECH, 0]
    assert len(run(server, graph)[0]) > 30


def test_neither_picture_nor_source_is_refused(server: ComfyServer) -> None:
    graph = dub_graph("scenes.mp4")
    del graph[SAMPLER]["inputs"]["source"]
    with pytest.raises(JobError, match=r"start_image: nothing is connected, and no source either"):
        server.client.run(graph)
