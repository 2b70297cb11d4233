"""Nodes of other packs that stand between WanVideoWrapper's: what they hand on is found behind them."""

from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import Conversion, convert
from evertalk_pack.convert.errors import ConvertError
from evertalk_pack.convert.remarks import Level

Graph = dict[str, Any]

INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["a.png"]]}}, "output": ["IMAGE", "MASK"]},
    "LoadAudio": {"input": {"required": {"audio": [["a.wav"]]}}, "output": ["AUDIO"]},
}
SAMPLER, LOADER, IMAGES, SPEECH = "128", "122", "192", "194"


def between(graph: Graph, node_id: str, name: str, kind: str, socket: str) -> Graph:
    """The graph with one more node before an input."""
    new = str(900 + len(graph))
    graph[new] = {"class_type": kind, "inputs": {socket: graph[node_id]["inputs"][name]}}
    graph[node_id]["inputs"][name] = [new, 0]
    return graph


def said(conversion: Conversion, level: Level) -> str:
    return "\n".join(str(remark) for remark in conversion.remarks if remark.level is level)


def converted(graph: Graph) -> Conversion:
    return convert(graph, INFO)


@pytest.mark.parametrize(
    ("node_id", "name"),
    [
        (SAMPLER, "image_embeds"),
        (SAMPLER, "model"),
        (SAMPLER, "text_embeds"),
        (SAMPLER, "multitalk_embeds"),
        (LOADER, "multitalk_model"),
        (LOADER, "lora"),
        (SPEECH, "wav2vec_model"),
        (SPEECH, "audio_1"),
        (IMAGES, "vae"),
        (IMAGES, "start_image"),
    ],
)
def test_memory_cleaner_changes_nothing_and_is_named(node_id: str, name: str) -> None:
    before = converted(read("gguf.api"))
    graph = between(read("gguf.api"), node_id, name, "easy cleanGpuUsed", "anything")
    after = converted(between(graph, node_id, name, "Purge", "any_in"))
    assert after.workflow == before.workflow
    assert said(after, Level.LOST) == said(before, Level.LOST)
    hands_on = [remark.node for remark in after.remarks if "it hands on what it gets" in remark.text]
    assert {node.partition(" #")[0] for node in hands_on} == {"easy cleanGpuUsed", "Purge"}


def test_cleaner_with_several_sockets_hands_on_each_at_its_own() -> None:
    graph = read("gguf.api")
    inputs = {
        "any_input": graph[SAMPLER]["inputs"]["model"],
        "image_pass": graph[IMAGES]["inputs"]["start_image"],
    }
    graph["900"] = {"class_type": "VRAM_Debug", "inputs": {"empty_cache": True, **inputs}}
    graph[SAMPLER]["inputs"]["model"] = ["900", 0]
    graph[IMAGES]["inputs"]["start_image"] = ["900", 1]
    assert converted(graph).workflow == converted(read("gguf.api")).workflow


def test_switch_hands_on_the_first_that_is_given() -> None:
    graph = read("gguf.api")
    graph["900"] = {
        "class_type": "Any Switch (rgthree)",
        "inputs": {"any_02": ["901", 0], "any_01": graph[IMAGES]["inputs"]["start_image"]},
    }
    graph["901"] = {"class_type": "LoadImage", "inputs": {"image": "other.png"}}
    graph[IMAGES]["inputs"]["start_image"] = ["900", 0]
    assert converted(graph).workflow == converted(read("gguf.api")).workflow


@pytest.mark.parametrize(
    ("node_id", "name", "socket"),
    [
        (SAMPLER, "image_embeds", "embeds"),
        (SAMPLER, "model", "wan"),
        (IMAGES, "start_image", "photo"),
        (SPEECH, "audio_1", "wave"),
        (IMAGES, "vae", "coder"),
    ],
)
def test_unknown_node_of_one_type_is_left_out_and_named_as_a_loss(
    node_id: str, name: str, socket: str
) -> None:
    graph = between(read("gguf.api"), node_id, name, "Nobody's Filter", socket)
    after = converted(graph)
    assert after.workflow == converted(read("gguf.api")).workflow
    assert "[lost] Nobody's Filter #9" in said(after, Level.LOST)


def test_type_that_comes_in_at_two_inputs_is_not_guessed() -> None:
    graph = read("gguf.api")
    start = graph[IMAGES]["inputs"]["start_image"]
    graph["900"] = {"class_type": "Nobody's Blend", "inputs": {"one": start, "two": start}}
    graph[IMAGES]["inputs"]["start_image"] = ["900", 0]
    after = converted(graph)
    (sampler,) = [n["inputs"] for n in after.workflow.values() if n["class_type"] == "EverTalkSampler"]
    assert "start_image" not in sampler
    assert "start_image (Nobody's Blend #900): what gives it is not known here" in said(after, Level.LOST)


def test_picture_of_an_unknown_node_leaves_its_socket_open_and_names_the_node() -> None:
    graph = read("gguf.api")
    graph["900"] = {"class_type": "Nobody's Painter", "inputs": {"text": "a face"}}
    graph[IMAGES]["inputs"]["start_image"] = ["900", 0]
    after = converted(graph)
    kinds = {node["class_type"] for node in after.workflow.values()}
    assert {"EverTalkSampler", "EverTalkDecode"} <= kinds
    assert "connect Load Image to start_image of EverTalk Sampler" in said(after, Level.LOST)
    assert "Nobody's Painter #900" in said(after, Level.LOST)


def test_sound_of_an_unknown_node_leaves_its_socket_open_and_names_the_node() -> None:
    graph = read("gguf.api")
    graph["900"] = {"class_type": "Nobody's Voice", "inputs": {"text": "good day"}}
    graph[SPEECH]["inputs"]["audio_1"] = ["900", 0]
    after = converted(graph)
    (embeds,) = [n["inputs"] for n in after.workflow.values() if n["class_type"] == "EverTalkAudioEmbeds"]
    assert "audio" not in embeds
    assert "audio_1 (Nobody's Voice #900): what gives its sound is not known here" in said(after, Level.LOST)


def test_unknown_node_that_nothing_can_be_found_behind_is_named_with_what_to_do() -> None:
    graph = read("gguf.api")
    graph["900"] = {"class_type": "Nobody's Loader", "inputs": {"file": "x"}}
    graph[SAMPLER]["inputs"]["image_embeds"] = ["900", 0]
    with pytest.raises(ConvertError, match="Nobody's Loader #900: it comes before image_embeds of WanVideo"):
        converted(graph)


def test_nodes_that_hand_on_in_a_circle_are_refused() -> None:
    graph = read("gguf.api")
    graph["900"] = {"class_type": "easy cleanGpuUsed", "inputs": {"anything": ["901", 0]}}
    graph["901"] = {"class_type": "easy cleanGpuUsed", "inputs": {"anything": ["900", 0]}}
    graph[SAMPLER]["inputs"]["image_embeds"] = ["900", 0]
    with pytest.raises(ConvertError, match="it gets what it gives itself"):
        converted(graph)


def test_types_that_the_editor_saved_tell_what_is_handed_on() -> None:
    """In the editor's form the sockets say it, whatever they are called."""
    graph = read("single")
    images = next(node for node in graph["nodes"] if node["type"] == "WanVideoSampler")
    socket = next(one for one in images["inputs"] if one["name"] == "image_embeds")
    number, link = 9001, socket["link"]
    graph["nodes"].append(
        {
            "id": 900,
            "type": "Nobody's Cleaner",
            "inputs": [{"name": "x", "type": "*", "link": link}],
            "outputs": [{"name": "y", "type": "*", "links": [number]}],
        }
    )
    graph["links"].append([number, 900, 0, images["id"], 0, "*"])
    socket["link"] = number
    after = convert(graph, INFO)
    assert after.workflow == convert(read("single"), INFO).workflow
    assert "Nobody's Cleaner #900: it hands on what it gets" in said(after, Level.NEEDLESS)


@pytest.mark.parametrize(
    ("kind", "is_dubbed"), [("Nobody's Sharpener", True), ("Nobody's Frame Picker", False)]
)
def test_clip_behind_an_unknown_node_is_still_dubbed_unless_that_may_pick_frames(
    kind: str, *, is_dubbed: bool
) -> None:
    graph = between(read("dub_reference.api"), "192", "start_image", kind, "photo")
    after = converted(graph)
    (sampler,) = [n["inputs"] for n in after.workflow.values() if n["class_type"] == "EverTalkSampler"]
    assert ("source" in sampler) == is_dubbed
    told = "what it does to the clip's frames has no counterpart; left out" in said(after, Level.LOST)
    assert told == is_dubbed
    assert kind in said(after, Level.LOST)
