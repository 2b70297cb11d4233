"""Workflows of WanVideoWrapper as people have them, converted and given to a real server."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from comfy_client import JobError
from comfy_server import ComfyServer
from convert_server import WORKFLOWS, read
from evertalk_pack.convert.conversion import Conversion, convert
from evertalk_pack.convert.remarks import Level

pytestmark = pytest.mark.host

Info = dict[str, Any]

NAMES = sorted(file.stem for file in WORKFLOWS.glob("*.json"))
GGUF_LOADER = "UnetLoaderGGUF"
"""Of the node pack ComfyUI-GGUF, which the test server has not."""


def converted(name: str, info: Info) -> Conversion:
    return convert(read(name), info)


def only(conversion: Conversion, kind: str) -> dict[str, Any]:
    (found,) = [node["inputs"] for node in conversion.workflow.values() if node["class_type"] == kind]
    return found


def said(conversion: Conversion, level: Level) -> str:
    return "\n".join(str(remark) for remark in conversion.remarks if remark.level is level)


def links(node: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    yield from ((name, value) for name, value in node["inputs"].items() if isinstance(value, list))


def declared(info: Info, kind: str) -> dict[str, Any]:
    groups = info[kind]["input"]
    return {**groups.get("required", {}), **groups.get("optional", {})}


def test_there_are_workflows_enough() -> None:
    assert len(NAMES) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_every_input_of_what_is_made_is_known_and_every_needed_one_is_given(
    name: str, object_info: Info
) -> None:
    for node in converted(name, object_info).workflow.values():
        if node["class_type"] == GGUF_LOADER:
            continue
        known = declared(object_info, node["class_type"])
        assert set(node["inputs"]) <= set(known), node
        assert set(object_info[node["class_type"]]["input"].get("required", {})) <= set(node["inputs"]), node


@pytest.mark.parametrize("name", NAMES)
def test_every_link_joins_sockets_of_one_type(name: str, object_info: Info) -> None:
    workflow = converted(name, object_info).workflow
    for node in workflow.values():
        for socket, (source, slot) in links(node):
            if GGUF_LOADER in (workflow[source]["class_type"], node["class_type"]):
                continue
            given = object_info[workflow[source]["class_type"]]["output"][slot]
            assert given == declared(object_info, node["class_type"])[socket][0], (node, socket)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gguf.api"])
def test_server_takes_what_is_made(name: str, object_info: Info, stocked_server: ComfyServer) -> None:
    conversion = converted(name, object_info)
    assert said(conversion, Level.MISSING) == ""
    stocked_server.client.queue(conversion.workflow)  # raises if any of it is refused
    clear(stocked_server)


def test_server_lacks_the_gguf_loader_alone(object_info: Info, stocked_server: ComfyServer) -> None:
    conversion = converted("gguf.api", object_info)
    assert "install the node pack ComfyUI-GGUF" in said(conversion, Level.CHANGED)
    (title,) = [n["_meta"]["title"] for n in conversion.workflow.values() if n["class_type"] == GGUF_LOADER]
    with pytest.raises(JobError) as refused:
        stocked_server.client.queue(conversion.workflow)
    # A host names the missing node by its class or by its title.
    assert any(name in str(refused.value) for name in (GGUF_LOADER, title))
    (apply,) = [n["inputs"] for n in conversion.workflow.values() if n["class_type"] == "EverTalkApply"]
    lora = conversion.workflow[apply["model"][0]]
    assert lora["class_type"] == "LoraLoaderModelOnly"
    loader = conversion.workflow[lora["inputs"]["model"][0]]
    assert loader["class_type"] == GGUF_LOADER
    assert loader["inputs"] == {"unet_name": "wan2.1-i2v-14b-480p-Q8_0.gguf"}


def clear(server: ComfyServer) -> None:
    body = json.dumps({"clear": True}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{server.client.address}/queue", body, headers)):
        server.client.interrupt()


def test_what_is_made_runs_to_a_video(object_info: Info, stocked_server: ComfyServer) -> None:
    """With tiny models: for text and CLIP, which have none, a prepared prompt and nothing."""
    workflow = converted("single", object_info).workflow
    lost = ("CLIPLoader", "CLIPVisionLoader", "CLIPVisionEncode")
    for node in workflow.values():
        if node["class_type"] == "CLIPTextEncode":
            node["class_type"] = "EverTalkTextEmbeds"
            node["inputs"] = {"file": "evertalk_tiny_prompt.safetensors", "save_as": ""}
        if node["class_type"] == "EverTalkModelLoader":
            node["inputs"] |= {"lora": "none", "attention_mode": "sdpa", "quantization": "as stored"}
        if node["class_type"] == "TrimAudioDuration":
            node["inputs"]["duration"] = 13 / 25
        if node["class_type"] == "EverTalkSampler":
            node["inputs"] |= {"width": 64, "height": 64, "window_frames": 9, "motion_frames": 5}
            del node["inputs"]["clip_vision_output"]
    graph = {node_id: node for node_id, node in workflow.items() if node["class_type"] not in lost}
    outcome = stocked_server.client.run(graph, timeout_s=300)
    (made,) = next(node["evertalk"] for node in outcome.outputs.values() if "evertalk" in node)
    assert (made["frames"], made["windows"], made["width"]) == (13, 2, 64)
    assert made["file"]["filename"].startswith("WanVideo2_1_InfiniteTalk")


def test_single_person_keeps_size_seed_shift_and_file_name(object_info: Info) -> None:
    sampler = only(converted("single", object_info), "EverTalkSampler")
    wanted = {"width": 640, "height": 640, "seed": 2, "shift": 11.0, "window_frames": 81, "motion_frames": 9}
    wanted |= {"steps": 4, "text_scale": 1.0, "audio_scale": 1, "scheduler": "simple"}
    assert wanted.items() <= sampler.items()
    assert sampler["filename_prefix"] == "WanVideo2_1_InfiniteTalk"


def test_sound_is_cut_where_num_frames_ended_it(object_info: Info) -> None:
    assert only(converted("single", object_info), "TrimAudioDuration")["duration"] == 40.0


def test_masks_and_voices_go_to_the_speakers(object_info: Info) -> None:
    speakers = only(converted("two_people_masks.api", object_info), "EverTalkSpeakers")
    assert {"audio_a", "audio_b", "mask_a", "mask_b"} <= set(speakers)
    assert speakers["arrangement"] == "para"


def test_voices_in_turn_keep_their_arrangement(object_info: Info) -> None:
    conversion = converted("two_people_in_turn", object_info)
    assert only(conversion, "EverTalkSpeakers")["arrangement"] == "add"
    assert "left and the right half" in said(conversion, Level.CHANGED)


def test_clip_that_is_made_over_becomes_a_source_with_the_steps_that_remain(object_info: Info) -> None:
    conversion = converted("dub_every_frame", object_info)
    source, sampler = only(conversion, "EverTalkVideoSource"), only(conversion, "EverTalkSampler")
    assert (source["denoise"], source["start_s"], sampler["steps"]) == (0.66, 1.0, 4)
    assert "source" in sampler
    assert "start_image" not in sampler


@pytest.mark.parametrize(
    ("kind", "field", "value", "is_told"),
    [
        ("GetImageRangeFromBatch", "start_index", 0, False),
        ("GetImageRangeFromBatch", "start_index", 16, True),
        ("GetImageRangeFromBatch", "start_index", -1, True),
        ("ImageFromBatch", "batch_index", 3, True),
        ("GetImagesFromBatchIndexed", "indexes", "0, 4", False),
        ("GetImagesFromBatchIndexed", "indexes", "4", True),
        ("ImageSelector", "selected_indexes", ["228", 1], True),
    ],
)
def test_frame_of_a_clip_that_is_not_its_first_is_told(
    kind: str, field: str, value: object, is_told: bool, object_info: Info
) -> None:
    graph = read("dub_reference.api")
    graph["9"] = {"class_type": kind, "inputs": {"images": ["228", 0], field: value}}
    graph["281"]["inputs"]["image"] = ["9", 0]
    conversion = convert(graph, object_info)
    told = [one for one in conversion.remarks if "of a clip the first frame is taken" in one.text]
    assert [one.level for one in told] == [Level.LOST] * is_told
    assert all(field in one.text for one in told)


def test_clip_of_reference_frames_is_a_source_and_gives_its_own_sound(object_info: Info) -> None:
    conversion = converted("dub_reference.api", object_info)
    (source,) = [i for i, n in conversion.workflow.items() if n["class_type"] == "EverTalkVideoSource"]
    assert only(conversion, "EverTalkSampler")["source"] == [source, 0]
    assert only(conversion, "TrimAudioDuration")["audio"] == [source, 1]
    assert only(conversion, "EverTalkVideoSource")["denoise"] == 1.0


def test_loras_are_applied_in_their_order_with_their_strengths(object_info: Info) -> None:
    conversion = converted("two_loras", object_info)
    loader, second = only(conversion, "EverTalkModelLoader"), only(conversion, "LoraLoaderModelOnly")
    assert (loader["lora"], loader["lora_strength"]) == ("film_grain.safetensors", 0.6)
    assert second["lora_name"].startswith("lightx2v")
    assert second["strength_model"] == 1.0


def test_rows_of_a_lora_stack_that_are_off_are_left_out(object_info: Info) -> None:
    conversion = converted("lora_multi.api", object_info)
    loader, second = only(conversion, "EverTalkModelLoader"), only(conversion, "LoraLoaderModelOnly")
    assert (loader["lora_strength"], second["strength_model"]) == (1.0, 0.5)
    assert only(conversion, "EverTalkSampler")["scheduler"] == "multitalk"


def test_block_swap_is_not_needed_and_compiling_is_kept(object_info: Info) -> None:
    conversion = converted("block_swap_compile", object_info)
    loader = only(conversion, "EverTalkModelLoader")
    assert (loader["compile_blocks"], loader["attention_mode"]) == (True, "flash_attn_3")
    assert "WanVideoBlockSwap" in said(conversion, Level.NEEDLESS)


def test_output_path_becomes_a_folder_below_the_output_folder(object_info: Info) -> None:
    conversion = converted("output_path.api", object_info)
    assert only(conversion, "EverTalkSampler")["filename_prefix"] == "EverTalk/talkinghead/talk"
    assert "D:\\videos\\talking head" in said(conversion, Level.CHANGED)
    (decode,) = [i for i, n in conversion.workflow.items() if n["class_type"] == "EverTalkDecode"]
    assert only(conversion, "PreviewImage")["images"] == [decode, 0]


def test_prompts_of_windows_become_times(object_info: Info) -> None:
    prompts = only(converted("cached_text.api", object_info), "EverTalkSchedule")["prompts"]
    assert prompts == "0s: a woman is talking\n3.24s: she laughs\\; she nods\n6.12s: she waves"


def test_multitalk_keeps_its_scales_steps_and_colour_match(object_info: Info) -> None:
    conversion = converted("multitalk", object_info)
    wanted = {
        "text_scale": 5.0,
        "audio_scale": 4.0,
        "steps": 40,
        "motion_frames": 25,
        "sampler_name": "uni_pc",
    }
    assert wanted.items() <= only(conversion, "EverTalkSampler").items()
    assert only(conversion, "EverTalkModelLoader")["mode"] == "multitalk"
    assert only(conversion, "EverTalkLook")["colour_match"] == "mkl"
    cache = only(conversion, "EverTalkStepCache")
    assert (cache["threshold"], cache["first_steps"], cache["last_steps"]) == (0.25, 6, 0)
    assert "480" in cache["fitted_to"]


def test_teacache_is_fitted_to_the_base_model(object_info: Info) -> None:
    graph = read("multitalk")
    (loader,) = [node for node in graph["nodes"] if node["type"] == "WanVideoModelLoader"]
    loader["widgets_values"][0] = "Wan2_1-I2V-14B-720P_fp8_e4m3fn.safetensors"
    assert "720" in only(convert(graph, object_info), "EverTalkStepCache")["fitted_to"]


def test_reroutes_primitives_and_switched_off_nodes_are_read_as_the_editor_runs_them(
    object_info: Info,
) -> None:
    conversion = converted("reroutes", object_info)
    assert only(conversion, "EverTalkSampler")["steps"] == 6
    assert only(conversion, "EverTalkModelLoader")["lora"].startswith("lightx2v"), "the other one is bypassed"
    assert "WanVideoLoraSelect #139" in said(conversion, Level.NEEDLESS)


def test_silence_is_a_sound_of_its_length(object_info: Info) -> None:
    assert only(converted("silent.api", object_info), "EmptyAudio")["duration"] == 81 / 25


def test_everything_without_a_counterpart_is_listed(object_info: Info) -> None:
    conversion = converted("extras.api", object_info)
    lost, changed = said(conversion, Level.LOST), said(conversion, Level.CHANGED)
    for name in ("MagCache", "NAG", "audio_scale 1.5", "riflex", "add_noise_floor", "fps 30", "RIFE VFI"):
        assert name in lost
    for name in ("flowmatch_causvid", "radial_sage", "no_ffn", "mvgd", "width 840"):
        assert name in changed


@pytest.mark.parametrize("name", NAMES)
def test_every_node_is_accounted_for(name: str, object_info: Info) -> None:
    """What is neither made nor asked for is named; the check breaks if a node is dropped in silence."""
    conversion = converted(name, object_info)
    assert all(remark.node or remark.text for remark in conversion.remarks)
    graph = read(name)
    graph = graph.get("prompt", graph)
    lonely = {"class_type": "WanVideoEnhanceAVideo", "inputs": {"weight": 2}}
    if "nodes" in graph:
        graph["nodes"].append({"id": 999, "type": lonely["class_type"], "widgets_values": [2]})
    else:
        graph["999"] = lonely
    text = "\n".join(str(remark) for remark in convert(graph, object_info).remarks)
    assert "WanVideoEnhanceAVideo #999" in text
