"""Bad inputs in the real server: each is refused before weights load, with the socket and the remedy."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from server_run import EMBEDS, ENCODER, MODEL, PICTURE, SAMPLER, SPEECH, WEIGHTS, Graph, Run, Stage

pytestmark = pytest.mark.host

SHORT = 1600
BASE_FOLDER, TALK_FOLDER = "diffusion_models", "model_patches"


def refused(stage: Stage, graph: Graph, message: str) -> Run:
    """The run of a graph that must end with `message` before any file of weights was opened."""
    run = stage.run(graph)
    assert re.search(message, run.refusal), run.refusal
    assert not WEIGHTS & set(run.nodes), f"{run.nodes} ran"
    return run


def test_a_graph_that_is_not_refused_loads_the_base_model(stage: Stage) -> None:
    run = stage.run(stage.graph(stage.speech(SHORT)))
    assert run.error is None
    assert MODEL in run.nodes, "so that its absence says something"


def test_no_audio_connected_is_refused(stage: Stage) -> None:
    graph = stage.graph(stage.speech(SHORT))
    del graph[EMBEDS]["inputs"]["audio"]
    refused(stage, graph, r"failed: audio: there is no sound; connect Load Audio to audio")


def test_no_audio_embeds_connected_is_refused_when_queued(stage: Stage) -> None:
    graph = stage.graph(stage.speech(SHORT))
    del graph[SAMPLER]["inputs"]["audio_embeds"]
    run = refused(stage, graph, r"node 8 \(EverTalkSampler\): Required input is missing: audio_embeds")
    assert "The workflow was refused" in run.refusal, "nothing else of it is worth running"


def test_empty_audio_is_refused(stage: Stage) -> None:
    graph = stage.graph(stage.speech(SHORT))
    graph[SPEECH] = {
        "class_type": "EmptyAudio",
        "inputs": {"duration": 0.0, "sample_rate": 16000, "channels": 1},
    }
    refused(stage, graph, r"failed: audio: .*(connect|load|choose)")


def test_audio_with_nan_is_refused(stage: Stage) -> None:
    samples = torch.zeros(1, SHORT)
    samples[0, 700] = torch.nan
    graph = stage.graph(stage.speech(0, samples=samples))
    refused(stage, graph, r"failed: audio: .*NaN")


def no_such(widget: str, value: str, offers: str) -> str:
    """What is said of a choice that nobody offers: in our words, or in a host's that looks at it first."""
    ours = rf"{widget}: '{value}' is unknown here\. Choose one of .*{offers}"
    return rf"{ours}|Value not in list: {widget}: '{value}' not in .*('{offers}|list of length \d)"


@pytest.mark.parametrize(
    ("widgets", "message"),
    [
        ({"width": 0}, "Value 0 smaller than min of 16: width"),
        ({"height": -16}, "Value -16 smaller than min of 16: height"),
        ({"window_frames": 9, "motion_frames": 9}, r"motion_frames: 9 frames, expected fewer .*Use 9 for"),
        ({"window_frames": 9, "motion_frames": 13}, r"motion_frames: 13 frames, expected fewer"),
        ({"window_frames": 5}, r"window_frames: 5 frames, expected 9 to 81.*Use 81"),
        ({"window_frames": 85}, "Value 85 bigger than max of 81: window_frames"),
        ({"text_scale": 5.0}, r"negative: nothing is connected.*or set text_scale to 1"),
        ({"filename_prefix": "../outside"}, r"filename_prefix: '\.\./outside' leads out .*EverTalk/talk"),
        ({"scheduler": "nothing"}, no_such("scheduler", "nothing", "multitalk")),
        ({"sampler_name": "unipc"}, no_such("sampler_name", "unipc", "uni_pc")),
    ],
)
def test_widgets_that_cannot_be_are_refused(stage: Stage, widgets: dict[str, Any], message: str) -> None:
    refused(stage, stage.graph(stage.speech(SHORT), **widgets), message)


def test_latent_output_of_two_windows_is_refused(stage: Stage) -> None:
    graph = stage.graph(stage.speech(16000), window_frames=13, output="latent")
    run = stage.run(graph)
    assert re.search(r"output: 'latent' holds one window, but 25 frames take 4", run.refusal)
    assert MODEL not in run.nodes


def test_what_is_snapped_is_said_and_used(stage: Stage) -> None:
    widgets = {"width": 70, "height": 41, "window_frames": 12, "motion_frames": 7}
    run = stage.run(stage.graph(stage.speech(6400), **widgets))
    assert run.error is None
    said = " | ".join(run.texts)
    assert "width 70 became 64: sides are multiples of 16" in said
    assert "height 41 became 48: sides are multiples of 16" in said
    assert "window_frames 12 became 9: frames come as 4n+1" in said
    assert "motion_frames 7 became 5: frames come as 4n+1" in said
    assert "10 frames, 2 windows of 9 frames, 64x48" in said


def damaged(path: Path) -> None:
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{}")


def cut_off(path: Path) -> None:
    save_file({"patch_embedding.weight": torch.zeros(64, 64)}, path)
    path.write_bytes(path.read_bytes()[:-100])


def pickled(path: Path) -> None:
    torch.save({"patch_embedding.weight": torch.zeros(4)}, path)


def lora(path: Path) -> None:
    save_file({"diffusion_model.blocks.0.self_attn.q.lora_down.weight": torch.zeros(4, 8)}, path)


def wan_vae(path: Path) -> None:
    save_file({"decoder.middle.0.residual.0.gamma": torch.zeros(8, 1, 1, 1)}, path)


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (damaged, "damaged.safetensors", "`damaged.safetensors` is not a usable safetensors file"),
        (cut_off, "cut.safetensors", "`cut.safetensors` is not a usable safetensors file"),
        (pickled, "pickled.pth", "`pickled.pth` is a pickle"),
        (lora, "lora.safetensors", "`lora.safetensors` is a LoRA .*put it into models/loras"),
        (wan_vae, "vae.safetensors", "`vae.safetensors` is a Wan VAE .*put it into models/vae"),
    ],
)
@pytest.mark.parametrize(
    ("place", "folder"), [("base_model", BASE_FOLDER), ("talk_model", TALK_FOLDER)], ids=["base", "talk"]
)
def test_files_that_are_no_such_model_are_refused_when_queued(
    stage: Stage, make: Any, name: str, message: str, place: str, folder: str
) -> None:
    make(stage.server.models / folder / name)
    graph = stage.graph(stage.speech(SHORT))
    graph[MODEL]["inputs"][place] = name
    run = refused(stage, graph, f"{place}: {message}")
    assert run.nodes == [], "refused before anything ran"


@pytest.mark.parametrize("place", ["base_model", "talk_model"])
def test_a_missing_file_is_named_with_the_folders_that_were_searched(stage: Stage, place: str) -> None:
    graph = stage.graph(stage.speech(SHORT))
    graph[MODEL]["inputs"][place] = "absent.safetensors"
    run = refused(stage, graph, rf"{place}: there is no file `absent.safetensors` in .*models.*Put it there")
    assert run.nodes == []


def test_a_missing_lora_is_named_when_queued(stage: Stage) -> None:
    graph = stage.graph(stage.speech(SHORT))
    graph[MODEL]["inputs"]["lora"] = "absent.safetensors"
    run = refused(stage, graph, r"lora: there is no file `absent.safetensors` in .*loras.*Put it there")
    assert run.nodes == []


def test_a_pickled_lora_is_refused_when_queued(stage: Stage) -> None:
    loras = stage.server.models / "loras"
    loras.mkdir(exist_ok=True)
    pickled(loras / "pickled.pt")
    graph = stage.graph(stage.speech(SHORT))
    graph[MODEL]["inputs"]["lora"] = "pickled.pt"
    run = refused(stage, graph, r"lora: `pickled.pt` is a pickle")
    assert run.nodes == []


@pytest.mark.parametrize(
    ("widget", "offers"), [("attention_mode", "sdpa"), ("quantization", "bf16"), ("mode", "multitalk")]
)
def test_choices_that_nobody_offers_are_refused_before_weights_load(
    stage: Stage, widget: str, offers: str
) -> None:
    graph = stage.graph(stage.speech(SHORT))
    graph[MODEL]["inputs"][widget] = "fast"
    run = stage.run(graph)
    assert re.search(no_such(widget, "fast", offers), run.refusal), run.refusal
    assert "weights held as" not in " ".join(run.texts)


def test_base_and_talk_model_in_each_others_place_are_refused(stage: Stage) -> None:
    graph = stage.graph(stage.speech(SHORT))
    inputs = graph[MODEL]["inputs"]
    inputs["talk_model"] = inputs["base_model"]
    refused(stage, graph, r"talk_model: `evertalk_tiny_wan_i2v.safetensors` is .*choose an InfiniteTalk")


def test_a_wrong_talk_model_of_the_apply_node_is_refused_when_queued(stage: Stage) -> None:
    graph = stage.graph(stage.speech(SHORT))
    lora(stage.server.models / TALK_FOLDER / "apply_lora.safetensors")
    graph["20"] = {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": graph[MODEL]["inputs"]["base_model"], "weight_dtype": "default"},
    }
    choice = {"talk_model": "apply_lora.safetensors", "mode": "auto", "attention_mode": "auto"}
    graph[MODEL] = {"class_type": "EverTalkApply", "inputs": {"model": ["20", 0], **choice}}
    run = refused(stage, graph, "talk_model: `apply_lora.safetensors` is a LoRA")
    assert run.nodes == []


def test_a_damaged_speech_encoder_is_refused_when_queued(stage: Stage) -> None:
    damaged(stage.server.models / "audio_encoders" / "damaged.safetensors")
    graph = stage.graph(stage.speech(SHORT))
    graph[ENCODER]["inputs"]["encoder"] = "damaged.safetensors"
    run = refused(stage, graph, r"encoder: `damaged.safetensors` is not .*download it again")
    assert run.nodes == []


def test_a_video_without_sound_has_no_audio_to_give(stage: Stage) -> None:
    graph = stage.graph(stage.speech(SHORT))
    graph["21"] = {"class_type": "CreateVideo", "inputs": {"images": [PICTURE, 0], "fps": 25.0}}
    graph["22"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["21", 0]}}
    graph[EMBEDS]["inputs"]["audio"] = ["22", 1]
    refused(stage, graph, r"failed: audio: there is no sound; connect Load Audio")
