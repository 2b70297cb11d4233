"""Workflows of ComfyUI's own InfiniteTalk nodes: a chain of parts becomes one EverTalk Sampler."""

from collections.abc import Callable
from typing import Any

import pytest
from comfy_server import ComfyServer
from convert_server import read
from evertalk_pack.convert import core_chain
from evertalk_pack.convert.conversion import Conversion, convert
from evertalk_pack.convert.errors import ConvertError
from evertalk_pack.convert.host_nodes import HostNodes
from evertalk_pack.convert.remarks import Level

pytestmark = pytest.mark.host

Graph = dict[str, Any]
Change = Callable[[Graph], object]

SINGLE, PARTS = "core_single.api", "core_two_parts.api"
FIRST, SECOND = "111", "211"
"""The nodes with the speech of the first and the second part."""


def changed(name: str, info: Graph, change: Change) -> Conversion:
    graph = read(name)
    change(graph)
    return convert(graph, info)


def put(node_id: str, **inputs: Any) -> Change:
    return lambda graph: graph[node_id]["inputs"].update(inputs)


def become(node_id: str, kind: str) -> Change:
    return lambda graph: graph[node_id].update(class_type=kind)


def cut_off(node_id: str, name: str) -> Change:
    return lambda graph: graph[node_id]["inputs"].pop(name)


def only(conversion: Conversion, kind: str) -> Graph:
    (found,) = [node["inputs"] for node in conversion.workflow.values() if node["class_type"] == kind]
    return found


def kinds(conversion: Conversion) -> set[str]:
    return {node["class_type"] for node in conversion.workflow.values()}


def said(conversion: Conversion, level: Level) -> str:
    return "\n".join(str(remark) for remark in conversion.remarks if remark.level is level)


def test_settings_of_the_sampler_and_of_the_talk_node_are_kept(object_info: Graph) -> None:
    conversion = convert(read(SINGLE), object_info)
    wanted = {"width": 640, "height": 384, "window_frames": 81, "motion_frames": 9, "shift": 11.0}
    wanted |= {"seed": 42, "steps": 8, "text_scale": 2.5, "audio_scale": 1.0}
    wanted |= {"sampler_name": "uni_pc", "scheduler": "simple", "filename_prefix": "video/talk"}
    sampler = only(conversion, "EverTalkSampler")
    assert wanted.items() <= sampler.items()
    texts = [conversion.workflow[sampler[name][0]]["inputs"]["text"] for name in ("positive", "negative")]
    assert texts == ["a woman is talking", "blurred, static"]
    assert conversion.workflow[sampler["clip_vision_output"][0]]["inputs"]["crop"] == "center"
    assert said(conversion, Level.LOST) == ""


def test_numbers_that_the_sampler_does_not_take_are_told(object_info: Graph) -> None:
    def change(graph: Graph) -> None:
        graph["16"]["inputs"] |= {"steps": 500, "cfg": 40.0}
        graph["5"]["inputs"]["shift"] = 0.0
        graph["18"]["inputs"]["bit_depth"] = 10

    conversion = changed(SINGLE, object_info, change)
    wanted = {"steps": 200, "text_scale": 30.0, "shift": 0.1}
    assert wanted.items() <= only(conversion, "EverTalkSampler").items()
    told = said(conversion, Level.CHANGED)
    assert "steps 500 becomes 200: EverTalk takes 1 to 200" in told
    assert "cfg 40 becomes 30: EverTalk takes 0 to 30" in told
    assert "shift 0 becomes 0.1: EverTalk takes 0.1 to 100" in told
    assert "bit_depth 10: mp4 (h264) has 8" in said(conversion, Level.LOST)


def test_model_keeps_its_precision_and_its_lora(object_info: Graph) -> None:
    conversion = convert(read(SINGLE), object_info)
    lora = conversion.workflow[only(conversion, "EverTalkSampler")["model"][0]]
    assert lora["class_type"] == "LoraLoaderModelOnly"
    assert lora["inputs"]["strength_model"] == 0.9
    assert lora["inputs"]["lora_name"].startswith("lightx2v"), "the file as this server lists it"
    loader = conversion.workflow[lora["inputs"]["model"][0]]["inputs"]
    assert loader["quantization"] == "fp8_e4m3fn"
    assert loader["talk_model"] == "Wan2_1-InfiniTetalk-Single_fp16.safetensors"
    assert loader["mode"] == "infinitetalk"


def test_sound_is_encoded_as_loud_as_it_is_and_a_remark_says_so(object_info: Graph) -> None:
    conversion = convert(read(SINGLE), object_info)
    assert only(conversion, "EverTalkAudioEmbeds")["loudness"] is False
    assert "loudness is off" in said(conversion, Level.CHANGED)


def test_what_decodes_joins_trims_and_saves_is_not_needed(object_info: Graph) -> None:
    conversion = convert(read(PARTS), object_info)
    assert not kinds(conversion) & {"VAEDecode", "ImageBatch", "ImageFromBatch", "CreateVideo", "SaveVideo"}
    assert only(conversion, "EverTalkSampler")["filename_prefix"] == "video/whole"
    needless = said(conversion, Level.NEEDLESS)
    for name in ("ImageFromBatch #8", "ImageBatch #9", "SaveVideo #24"):
        assert name in needless
    lost = said(conversion, Level.LOST)
    assert "SaveVideo #22: filename_prefix video/first: EverTalk Sampler writes each video once" in lost


def test_parts_that_continue_one_another_become_one_sampler(object_info: Graph) -> None:
    conversion = convert(read(PARTS), object_info)
    assert [node["class_type"] for node in conversion.workflow.values()].count("EverTalkSampler") == 1
    assert "2 parts that continue one another become one EverTalk Sampler" in said(conversion, Level.CHANGED)
    sampler = only(conversion, "EverTalkSampler")
    assert (sampler["seed"], sampler["steps"], sampler["shift"], sampler["scheduler"]) == (
        7,
        6,
        8.0,
        "normal",
    )
    assert "in a later part" not in said(conversion, Level.LOST)


def test_first_part_is_the_one_without_earlier_frames_wherever_it_stands(object_info: Graph) -> None:
    graph = read(PARTS)
    backwards = dict(reversed(graph.items()))
    sampler = only(convert(backwards, object_info), "EverTalkSampler")
    assert sampler["seed"] == 7


def test_prompts_of_parts_become_a_schedule(object_info: Graph) -> None:
    conversion = convert(read(PARTS), object_info)
    wanted = "0s: two people talk\n3.24s: they laugh\\; they nod"
    assert only(conversion, "EverTalkSchedule")["prompts"] == wanted
    same = changed(PARTS, object_info, put("205", text="two people talk"))
    assert "EverTalkSchedule" not in kinds(same)


def test_two_speakers_speak_in_turn_with_their_masks(object_info: Graph) -> None:
    conversion = convert(read(PARTS), object_info)
    speakers = only(conversion, "EverTalkSpeakers")
    files = [conversion.workflow[speakers[name][0]]["inputs"]["audio"] for name in ("audio_a", "audio_b")]
    assert files == ["speech_a.flac", "speech_b.flac"]
    channels = [conversion.workflow[speakers[name][0]]["inputs"]["channel"] for name in ("mask_a", "mask_b")]
    assert (channels, speakers["arrangement"]) == (["red", "green"], "add")


def test_second_speaker_is_not_heard_in_the_mode_of_one(object_info: Graph) -> None:
    conversion = changed(PARTS, object_info, put(FIRST, mode="single_speaker"))
    assert "EverTalkSpeakers" not in kinds(conversion)
    assert "WanInfiniteTalkToVideo, mode: two_speakers in a later part" in said(conversion, Level.LOST)


def test_template_of_two_subgraphs_becomes_one_sampler_with_the_values_of_their_nodes(
    object_info: Graph,
) -> None:
    conversion = convert(read("core_in_subgraphs"), object_info)
    wanted = {"width": 640, "height": 480, "window_frames": 81, "motion_frames": 13, "seed": 5, "steps": 6}
    assert wanted.items() <= only(conversion, "EverTalkSampler").items()
    assert only(conversion, "EverTalkModelLoader")["base_model"].startswith("Wan2_1-I2V")
    assert only(conversion, "CLIPTextEncode")["text"] == "a woman is talking"
    assert only(conversion, "EverTalkSampler")["filename_prefix"] == "video/template"
    assert said(conversion, Level.LOST) == said(conversion, Level.MISSING) == ""


@pytest.mark.parametrize(
    ("name", "change", "level", "text"),
    [
        (SINGLE, put("15", audio_scale=1.5), Level.LOST, "audio_scale 1.5 has no counterpart"),
        (SINGLE, put("16", denoise=0.5), Level.LOST, "denoise 0.5 has no counterpart"),
        (SINGLE, put("18", fps=30.0), Level.LOST, "fps 30"),
        (SINGLE, put("18", audio=["1", 0]), Level.CHANGED, "its audio is another than what"),
        (SINGLE, put("19", codec="av1"), Level.CHANGED, "format auto, av1: EverTalk Sampler writes H.264"),
        (SINGLE, put("19", **{"format.codec": "av1"}), Level.CHANGED, "format auto, av1"),
        (SINGLE, put("15", length=161), Level.CHANGED, "length 161 becomes windows of 81 frames"),
        (SINGLE, put("15", motion_frame_count=12), Level.CHANGED, "motion_frame_count 12 becomes 9"),
        (SINGLE, put("16", seed=2**63), Level.CHANGED, f"seed {2**63} becomes 1"),
        (SINGLE, put("16", positive=["8", 0]), Level.LOST, "what it does to the prompt"),
        (PARTS, become("1", "Mystery"), Level.LOST, "start_image (Mystery #1): what gives it is not known"),
        (PARTS, become("2", "Mystery"), Level.LOST, "audio (Mystery #2): what gives its sound is not known"),
        (PARTS, become("107", "Mystery"), Level.LOST, "vae (Mystery #107): what gives it is not known"),
        (PARTS, put("215", steps=9), Level.LOST, "BasicScheduler, steps: 9 in a later part"),
        (PARTS, put("202", strength_model=0.5), Level.LOST, "strength_model: 0.5 in a later part"),
        (PARTS, put("20", direction="before"), Level.CHANGED, "its audio is another than what"),
        (PARTS, put(FIRST, previous_frames=["1", 0]), Level.LOST, "the video begins with start_image"),
    ],
)
def test_what_has_no_counterpart_is_told(
    name: str, change: Change, level: Level, text: str, object_info: Graph
) -> None:
    assert text not in said(convert(read(name), object_info), level)
    assert text in said(changed(name, object_info, change), level)


SETTINGS = [
    pytest.param(name, node_id, field, id=f"{name}.{node_id}.{field}")
    for name in (SINGLE, PARTS)
    for node_id, node in read(name).items()
    for field, value in node["inputs"].items()
    if not isinstance(value, list)
]
SAME = {(SINGLE, "15", "mode"), (PARTS, "8", "length"), (PARTS, "212", "noise_seed")}
"""A second speaker who says nothing, frames behind a cut, and a seed that a remark calls unused."""


@pytest.mark.parametrize(("name", "node_id", "field"), SETTINGS)
def test_change_of_a_setting_is_seen(name: str, node_id: str, field: str, object_info: Graph) -> None:
    before = convert(read(name), object_info)
    value = read(name)[node_id]["inputs"][field]
    other = value * 2 + 7 if isinstance(value, int | float) else f"{value} another"
    after = changed(name, object_info, put(node_id, **{field: other}))
    is_seen = (after.workflow, after.remarks) != (before.workflow, before.remarks)
    assert is_seen is ((name, node_id, field) not in SAME)


def test_shift_is_found_on_either_side_of_the_talk_node(object_info: Graph) -> None:
    def behind(graph: Graph) -> None:
        graph["15"]["inputs"]["model"] = ["4", 0]
        graph["5"]["inputs"]["model"] = ["15", 0]
        graph["16"]["inputs"]["model"] = ["5", 0]

    assert only(changed(SINGLE, object_info, behind), "EverTalkSampler")["shift"] == 11.0
    without = changed(SINGLE, object_info, put("15", model=["4", 0]))
    assert only(without, "EverTalkSampler")["shift"] == 8.0, "that of ComfyUI's Wan 2.1"


def test_other_nodes_on_the_model_are_kept(object_info: Graph) -> None:
    def more(graph: Graph) -> None:
        sampling = {"model": ["5", 0], "sampling": "eps", "zsnr": False}
        compiling = {"model": ["30", 0], "backend": "inductor"}
        graph["30"] = {"class_type": "ModelSamplingDiscrete", "inputs": sampling}
        graph["31"] = {"class_type": "TorchCompileModel", "inputs": compiling}
        graph["15"]["inputs"]["model"] = ["31", 0]

    conversion = changed(SINGLE, object_info, more)
    kept = conversion.workflow[only(conversion, "EverTalkSampler")["model"][0]]
    assert kept["class_type"] == "ModelSamplingDiscrete"
    assert conversion.workflow[kept["inputs"]["model"][0]]["class_type"] == "LoraLoaderModelOnly"
    assert only(conversion, "EverTalkModelLoader")["compile_blocks"] is True
    assert "TorchCompileModel #31: becomes compile_blocks" in said(conversion, Level.CHANGED)


def test_quantized_base_gets_the_audio_weights_behind_its_own_loader(object_info: Graph) -> None:
    def gguf(graph: Graph) -> None:
        graph["3"] = {"class_type": "UnetLoaderGGUF", "inputs": {"unet_name": "wan-Q8_0.gguf"}}

    conversion = changed(SINGLE, object_info, gguf)
    apply = only(conversion, "EverTalkApply")
    assert conversion.workflow[apply["model"][0]]["class_type"] == "LoraLoaderModelOnly"
    assert only(conversion, "UnetLoaderGGUF") == {"unet_name": "wan-Q8_0.gguf"}
    assert "install the node pack ComfyUI-GGUF" in said(conversion, Level.CHANGED)


def test_steps_of_the_advanced_sampler_are_all_made(object_info: Graph) -> None:
    def advanced(graph: Graph) -> None:
        graph["16"]["class_type"] = "KSamplerAdvanced"
        graph["16"]["inputs"] |= {"noise_seed": graph["16"]["inputs"].pop("seed"), "start_at_step": 2}

    conversion = changed(SINGLE, object_info, advanced)
    assert (only(conversion, "EverTalkSampler")["seed"], only(conversion, "EverTalkSampler")["steps"]) == (
        42,
        8,
    )
    assert "start_at_step, end_at_step" in said(conversion, Level.LOST)


def test_frames_that_are_worked_on_are_saved_by_the_same_nodes(object_info: Graph) -> None:
    def scaled(graph: Graph) -> None:
        scaling = {"image": ["9", 0], "scale_by": 2.0, "upscale_method": "lanczos"}
        graph["30"] = {"class_type": "ImageScaleBy", "inputs": scaling}
        graph["23"]["inputs"]["images"] = ["30", 0]

    conversion = changed(PARTS, object_info, scaled)
    video = conversion.workflow[only(conversion, "SaveVideo")["video"][0]]["inputs"]
    frames = conversion.workflow[video["images"][0]]
    assert (frames["class_type"], frames["inputs"]["scale_by"]) == ("ImageScaleBy", 2.0)
    assert conversion.workflow[frames["inputs"]["image"][0]]["class_type"] == "EverTalkDecode"
    assert conversion.workflow[video["audio"][0]]["class_type"] == "AudioConcat"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut_off("116", "latent_image"), r"#111: its latent goes to nothing; connect it to one of KSampler"),
        (cut_off(FIRST, "start_image"), "nothing is connected to start_image"),
        (become("109", "Mystery"), "Connect AudioEncoderEncode to audio_encoder_output_1 directly"),
        (become("109", "MultiTalkWav2VecEmbeds"), "expected AudioEncoderEncode where"),
        (become("103", "MultiTalkModelLoader"), "expected ModelPatchLoader at model_patch"),
        (become("101", "Mystery"), "what gives the model is not known here"),
        (become("105", "Mystery"), "what gives positive is not known here"),
        (cut_off("109", "audio"), "nothing is connected to audio"),
        (cut_off(FIRST, "vae"), "nothing is connected to vae"),
        (cut_off("113", "model"), "nothing is connected to model"),
        (cut_off("116", "sigmas"), "nothing is connected to sigmas"),
        (put(FIRST, previous_frames=["217", 0]), "are made from its own frames"),
    ],
)
def test_missing_connection_is_named(change: Change, message: str, object_info: Graph) -> None:
    with pytest.raises(ConvertError, match=message):
        changed(PARTS, object_info, change)


def test_number_of_parts_is_limited(object_info: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_chain, "MAX_PARTS", 1)
    with pytest.raises(ConvertError, match="more than 1 parts of videos"):
        convert(read(PARTS), object_info)


def test_what_is_made_runs_to_a_video(object_info: Graph, stocked_server: ComfyServer) -> None:
    """With tiny models: for text, CLIP and LoRA, which have none, a prepared prompt and nothing."""
    workflow = convert(read(SINGLE), object_info).workflow
    for node in workflow.values():
        if node["class_type"] == "CLIPTextEncode":
            node["class_type"] = "EverTalkTextEmbeds"
            node["inputs"] = {"file": "evertalk_tiny_prompt.safetensors", "save_as": ""}
        if node["class_type"] == "EverTalkModelLoader":
            node["inputs"] |= {"attention_mode": "sdpa", "quantization": "as stored"}
        if node["class_type"] == "EverTalkSampler":
            lora = workflow[node["inputs"]["model"][0]]
            node["inputs"] |= {"model": lora["inputs"]["model"], "width": 64, "height": 64, "steps": 2}
            node["inputs"] |= {"window_frames": 9, "motion_frames": 5}
            del node["inputs"]["clip_vision_output"]
    embeds = next(node for node in workflow.values() if node["class_type"] == "EverTalkAudioEmbeds")
    cut = {"audio": embeds["inputs"]["audio"], "start_index": 0.0, "duration": 13 / 25}
    embeds["inputs"]["audio"] = ["cut", 0]
    workflow["cut"] = {"class_type": "TrimAudioDuration", "inputs": cut}
    lost = ("CLIPLoader", "CLIPVisionLoader", "CLIPVisionEncode", "LoraLoaderModelOnly")
    graph = {node_id: node for node_id, node in workflow.items() if node["class_type"] not in lost}
    outcome = stocked_server.client.run(graph, timeout_s=300)
    (made,) = next(node["evertalk"] for node in outcome.outputs.values() if "evertalk" in node)
    assert (made["frames"], made["windows"], made["width"]) == (13, 2, 64)
    assert made["file"]["filename"].startswith("talk")


DYNAMIC: Graph = {
    "Resize": {
        "required": {
            "kind": [
                "COMFY_DYNAMICCOMBO_V3",
                {
                    "options": [
                        {"key": "by", "inputs": {"required": {"factor": ["FLOAT", {}]}}},
                        {
                            "key": "to",
                            "inputs": {"required": {"w": ["INT", {}], "m": ["MASK", {}], "h": ["INT", {}]}},
                        },
                    ]
                },
            ],
            "noise_seed": ["INT", {}],
            "image": ["IMAGE", {}],
        }
    },
    "Batch": {"required": {"images": ["COMFY_AUTOGROW_V3", {}]}},
}


def test_fields_that_a_choice_brings_are_named() -> None:
    host = HostNodes(DYNAMIC)
    assert host.fields("Resize", ["to", 4, 5, 1]) == ["kind", "kind.w", "kind.h", "noise_seed"]
    assert (
        host.fields("Resize", ["by", 2.0, 1])
        == host.fields("Resize")
        == ["kind", "kind.factor", "noise_seed"]
    )


def test_inputs_that_come_and_go_are_taken_and_not_required() -> None:
    host = HostNodes(DYNAMIC)
    assert host.takes("Batch", "images.image3")
    assert host.takes("Resize", "kind.w")
    assert not host.takes("Resize", "image.w")
    assert not host.takes("Resize", "other")
    assert host.required("Batch") == []
