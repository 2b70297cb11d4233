"""The demo's workflows as a program queues them: mouths measured in the mp4 that the server has written."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
import torch
from lipsync import colour_drift, correlation, measure_sync, openings_px
from PIL import Image
from talking import MOTION_FRAMES, TWO_WINDOWS_S, WINDOW_FRAMES, load_voice, portrait
from world.mouth import SAMPLE_RATE_HZ, mouth_law

if TYPE_CHECKING:
    from comfy_server import ComfyServer

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
quality = pytest.mark.skipif(not os.environ.get("EVERTALK_QUALITY"), reason="a minute long: make quality")


@pytest.fixture(scope="module")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[ComfyServer]":
    from comfy_server import ComfyServer
    from make_tiny import TRAINED, make_all

    base = tmp_path_factory.mktemp("talking")
    make_all(base / "models", TRAINED)
    with ComfyServer(comfyui, base) as server:
        yield server


def film(
    server: "ComfyServer", folder: Path, workflow: str, seed: int, voices: list[torch.Tensor]
) -> torch.Tensor:
    """Frames (F, H, W, C) of the mp4 that a demo workflow makes of a stranger's picture and voices."""
    import soundfile

    people = len(voices)
    pixels = (portrait(seed, people) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(folder / f"stranger_{seed}.png")
    graph = json.loads((ROOT / "workflows" / "api" / f"{workflow}.api.json").read_text(encoding="utf-8"))
    sounds = iter(voices)
    for node in graph.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = server.client.upload(folder / f"stranger_{seed}.png")
        if node["class_type"] == "LoadAudio":
            voice = next(sounds)
            file = folder / f"voice_{seed}_{int(voice.abs().sum() * 1000)}.flac"
            soundfile.write(file, voice.numpy(), SAMPLE_RATE_HZ)
            node["inputs"]["audio"] = server.client.upload(file)
        if node["class_type"] == "EverTalkSpeakers":
            node["inputs"]["arrangement"] = "para"
    outcome = server.client.run(graph, lambda _event: None)
    (shown,) = [node["images"][0] for node in outcome.outputs.values() if "images" in node]
    with av.open(str(server.output / shown["subfolder"] / shown["filename"]), "r") as container:
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return torch.stack(frames).float() / 255


def law(voice: torch.Tensor, frames: int) -> torch.Tensor:
    """How far a mouth should be open, without the first frame, which is the picture itself."""
    return mouth_law(voice, frames, len(voice)).opening_F[1:]


def test_the_demos_video_shows_a_mouth_that_follows_the_voice(server: "ComfyServer", tmp_path: Path) -> None:
    voice = load_voice("one", TWO_WINDOWS_S)
    frames_FHWC = film(server, tmp_path, "demo_cartoon", 77, [voice])
    assert len(frames_FHWC) == round(TWO_WINDOWS_S * 25)
    sync = measure_sync(openings_px(frames_FHWC)[1:], law(voice, len(frames_FHWC)))
    assert sync.correlation >= 0.85, sync
    assert abs(sync.lag) <= 1, sync
    assert colour_drift(frames_FHWC[-WINDOW_FRAMES + MOTION_FRAMES :], portrait(77, 1)) < 0.01
    steps = frames_FHWC.diff(dim=0).abs().mean(dim=(1, 2, 3))
    assert float(steps[WINDOW_FRAMES - 1] / steps.median()) <= 1.5


@quality
def test_the_demos_two_people_open_their_own_mouths(server: "ComfyServer", tmp_path: Path) -> None:
    voices = [load_voice(name, TWO_WINDOWS_S) for name in ("one", "two")]
    for ordered in (voices, voices[::-1]):
        frames_FHWC = film(server, tmp_path, "demo_cartoon_two", 90, ordered)
        mouths = [openings_px(frames_FHWC, half)[1:] for half in (slice(0, 64), slice(64, 128))]
        laws = [law(voice, len(frames_FHWC)) for voice in ordered]
        for person in (0, 1):
            assert correlation(mouths[person], laws[person]) >= 0.8
            assert abs(correlation(mouths[person], laws[1 - person])) <= 0.25
