"""Two people in the real server: the workflow for the real models, with the tiny ones in their place."""

import json
import wave
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
import torch
from comfy_client import Event, JobError, TextEvent
from PIL import Image

if TYPE_CHECKING:
    from comfy_server import ComfyServer

pytestmark = pytest.mark.host

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "api" / "infinitetalk_two_people.api.json"
PICTURE, VOICE_A, VOICE_B, SPEAKERS, PREVIEW, MODEL, VAE, SEEN, TEXT, ENCODER, SAMPLER, DECODE = (
    *("1", "2", "3", "4", "5", "6", "7", "9", "11", "12", "14", "15"),
)
RATE_HZ = 16000
WIDTH_PX, HEIGHT_PX = 128, 64

Graph = dict[str, dict[str, Any]]
_FRESH = count(1)


class Stage:
    """The server with two voices and a picture of two halves in its input folder."""

    def __init__(self, server: "ComfyServer", folder: Path) -> None:
        self.server, self.folder = server, folder
        self.texts: list[str] = []
        picture = Image.new("RGB", (2 * WIDTH_PX, 2 * HEIGHT_PX), (200, 150, 90))
        picture.paste((60, 110, 190), (0, 0, WIDTH_PX, 2 * HEIGHT_PX))
        picture.save(folder / "two_people.jpg")
        self.picture = server.client.upload(folder / "two_people.jpg")

    def speech(self, seed: int, num_samples: int) -> str:
        """Upload a recording of noise in bursts; its name in the input folder."""
        generator = torch.Generator().manual_seed(seed)
        bursts = (torch.arange(num_samples) / (700 * seed)).sin().clamp_min(0)
        samples = (0.2 * bursts * torch.randn(num_samples, generator=generator)).clamp(-1, 1)
        file = self.folder / f"voice_{seed}_{num_samples}.wav"
        with wave.open(str(file), "wb") as recording:
            recording.setnchannels(1)
            recording.setsampwidth(2)
            recording.setframerate(RATE_HZ)
            recording.writeframes((samples * 32767).short().numpy().tobytes())
        return self.server.client.upload(file)

    def graph(self, voice_a: str, voice_b: str, **speakers: Any) -> Graph:
        """The workflow, small, with the tiny models; what loads weights is fresh in the server's cache."""
        graph: Graph = json.loads(WORKFLOW.read_text())
        graph[PICTURE]["inputs"]["image"] = self.picture
        graph[VOICE_A]["inputs"]["audio"], graph[VOICE_B]["inputs"]["audio"] = voice_a, voice_b
        graph[SPEAKERS]["inputs"] |= speakers
        graph[MODEL]["inputs"] |= {
            "base_model": "evertalk_tiny_wan_i2v.safetensors",
            "talk_model": "evertalk_tiny_infinitetalk.safetensors",
            "lora": "none",
            "lora_strength": next(_FRESH) / 1000,
        }
        graph[VAE]["inputs"]["vae_name"] = "evertalk_tiny_wan_vae.safetensors"
        prompt = {"file": "evertalk_tiny_prompt.safetensors", "save_as": ""}
        graph[TEXT] = {"class_type": "EverTalkTextEmbeds", "inputs": prompt}
        graph[ENCODER]["inputs"]["encoder"] = "evertalk_tiny_wav2vec2.safetensors"
        graph[SAMPLER]["inputs"] |= {"size": "custom", "width": WIDTH_PX, "height": HEIGHT_PX}
        graph[SAMPLER]["inputs"] |= {"window_frames": 9, "motion_frames": 5}
        graph[SAMPLER]["inputs"]["filename_prefix"] = f"EverTalk/{self.folder.name}"
        del graph[SAMPLER]["inputs"]["clip_vision_output"]
        return {name: node for name, node in graph.items() if name not in {"8", SEEN, "10"}}

    def video(self, graph: Graph) -> Path:
        """Run a graph to its end; the video that it made."""
        self.texts.clear()
        outcome = self.server.client.run(graph, self.note, timeout_s=300)
        (preview,) = outcome.outputs[PREVIEW]["images"]
        assert preview["type"] == "temp"
        (shown,) = outcome.outputs[DECODE]["images"]
        assert shown["type"] == "output"
        return self.server.output / shown["subfolder"] / shown["filename"]

    def refusal(self, graph: Graph) -> str:
        """Why a graph failed."""
        with pytest.raises(JobError) as caught:
            self.server.client.run(graph, self.note, timeout_s=300)
        return str(caught.value)

    def note(self, event: Event) -> None:
        if isinstance(event, TextEvent):
            self.texts.append(event.text)


@pytest.fixture
def stage(comfy_server: "ComfyServer", tiny_models: Path, tmp_path: Path) -> Stage:
    del tiny_models
    return Stage(comfy_server, tmp_path)


def frames_of(path: Path) -> torch.Tensor:
    with av.open(str(path)) as container:
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return torch.stack(frames).float()


def test_two_voices_one_after_the_other_make_a_video_as_long_as_both(stage: Stage) -> None:
    path = stage.video(stage.graph(stage.speech(1, 6000), stage.speech(2, 4000)))
    assert len(frames_of(path)) == round(25 * 10000 / RATE_HZ)
    said = "No masks and no boxes: A is the left half of the picture"
    assert sum(said in text for text in stage.texts) == 2, "on the speakers node and on the sampler"


def test_swapping_the_two_voices_changes_the_video(stage: Stage) -> None:
    first, second = stage.speech(1, 6000), stage.speech(2, 6000)
    boxes = "0%,0%,50%,100%; 50%,0%,50%,100%"
    videos = [
        frames_of(stage.video(stage.graph(*voices, arrangement="para", boxes=boxes)))
        for voices in ((first, second), (second, first), (first, second))
    ]
    assert torch.equal(videos[0], videos[2])
    assert (videos[0] - videos[1]).abs().max() > 2


def test_three_people_share_one_recording_by_a_timeline(stage: Stage) -> None:
    timeline = "0-0.2 A; 0.2-0.4 B; 0.4-0.5 A+C"
    boxes = "0%,0%,30%,100%; 35%,0%,30%,100%; 70%,0%,30%,100%"
    graph = stage.graph(
        stage.speech(1, 8000), stage.speech(2, 10), arrangement="timeline", timeline=timeline, boxes=boxes
    )
    del graph[SPEAKERS]["inputs"]["audio_b"]
    del graph[VOICE_B]
    assert len(frames_of(stage.video(graph))) == round(25 * 0.5)
    assert sum("this is extrapolation" in text for text in stage.texts) == 2


def test_bad_speakers_are_refused_before_weights_load(stage: Stage) -> None:
    voices = stage.speech(1, 3000), stage.speech(2, 3000)
    for speakers, complaint in (
        ({"boxes": "0%,0%,50%,100%"}, "boxes: 2 voices (A, B) came with 1 boxes"),
        ({"boxes": "0,0,9,9; 900,0,9,9"}, "box of speaker B"),
        ({"audio_c": [VOICE_A, 0]}, "mask_a, mask_b, mask_c: 3 voices (A, B, C) came with 0 masks"),
        ({"mask_a": [PICTURE, 1]}, "mask_a: it is empty"),
        ({"arrangement": "timeline", "timeline": "0-1 A"}, "timeline: 2 sounds are connected"),
    ):
        refusal = stage.refusal(stage.graph(*voices, **speakers))
        assert complaint in refusal
        assert "NoneType" not in refusal
        assert "EverTalkSpeakers" in refusal
