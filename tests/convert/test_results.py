"""What is done with the frames that were made: cut, resized, saved under a name, or taken by nothing."""

from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import Conversion, convert
from evertalk_pack.convert.work import no_rule

Node = dict[str, Any]

INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["a.png"]]}}, "output": ["IMAGE", "MASK"]},
    "LoadAudio": {"input": {"required": {"audio": [["a.wav"]]}}, "output": ["AUDIO"]},
}
IMAGES, COMBINE = "192", "131"
DECODED = ["130", 0]
ONCE = "EverTalk Sampler writes each video once, this one as first"


def colons_are_refused(prefix: str) -> str:
    return "a colon" if ":" in prefix else ""


def converted(
    more: dict[str, Node] | None = None, rule: Any = colons_are_refused, **combine: Any
) -> Conversion:
    graph: dict[str, Any] = read("gguf.api")
    graph |= more or {}
    graph[COMBINE]["inputs"] |= combine
    return convert(graph, INFO, rule)


def node(kind: str, **inputs: Any) -> Node:
    return {"class_type": kind, "inputs": inputs}


def made(conversion: Conversion, kind: str) -> dict[str, Any]:
    (found,) = [n["inputs"] for n in conversion.workflow.values() if n["class_type"] == kind]
    return found


def id_of(conversion: Conversion, kind: str) -> str:
    (found,) = [i for i, n in conversion.workflow.items() if n["class_type"] == kind]
    return found


def said_of(conversion: Conversion, node_id: str) -> list[str]:
    return [
        f"{one.level.value}: {one.text}" for one in conversion.remarks if one.node.endswith(f"#{node_id}")
    ]


def test_cut_of_the_result_is_made_by_comfyuis_own_node_and_saved_with_its_sound() -> None:
    cut = node("GetImageRangeFromBatch", images=DECODED, start_index=5, num_frames=100)
    after = converted({"900": cut}, images=["900", 0], filename_prefix="cut")
    decode = id_of(after, "EverTalkDecode")
    assert made(after, "ImageFromBatch") == {"image": [decode, 0], "batch_index": 5, "length": 100}
    assert made(after, "CreateVideo")["images"] == [id_of(after, "ImageFromBatch"), 0]
    assert "audio" in made(after, "CreateVideo")
    assert made(after, "SaveVideo")["filename_prefix"] == "cut"
    assert said_of(after, "900") == ["changed: becomes ComfyUI's own node that cuts frames out of the result"]


@pytest.mark.parametrize(("start", "length"), [(-1, 50), (5000, 10), (0, 5000)])
def test_cut_that_comfyuis_node_cannot_make_is_told_as_a_cut_of_the_result(start: int, length: int) -> None:
    cut = node("GetImageRangeFromBatch", images=DECODED, start_index=start, num_frames=length)
    after = converted({"900": cut}, images=["900", 0])
    (told,) = said_of(after, "900")
    assert told.startswith(
        f"lost: start_index {start}, num_frames {length}: no such cut of the result is made"
    )
    assert not any(n["class_type"] == "CreateVideo" for n in after.workflow.values())


def test_cut_of_the_picture_is_still_its_first() -> None:
    graph = read("gguf.api")
    graph["900"] = node("GetImageRangeFromBatch", images=["284", 0], start_index=0, num_frames=1)
    graph["281"]["inputs"]["image"] = ["900", 0]
    assert said_of(convert(graph, INFO), "900") == ["changed: left out: the first picture is taken"]


def test_resize_of_the_result_is_told_as_one() -> None:
    resize = node("ImageResizeKJv2", image=DECODED, width=1280, height=720, keep_proportion="crop")
    after = converted({"900": resize}, images=["900", 0])
    assert said_of(after, "900") == ["lost: left out: the result keeps the size of the video"]


@pytest.mark.parametrize(
    "lonely",
    [node("Nobody's Note", text="hello"), node("WanVideoEnhanceAVideo", weight=2), node("PreviewAny")],
)
def test_node_that_nothing_uses_is_told_once(lonely: Node) -> None:
    assert len(said_of(converted({"900": lonely}), "900")) == 1


def test_cleaner_at_the_end_is_not_needed() -> None:
    after = converted({"900": node("easy cleanGpuUsed", anything=DECODED)})
    assert said_of(after, "900") == ["not needed: it hands on what it gets; left out"]


def test_name_is_kept_with_slashes_of_either_kind() -> None:
    after = converted(filename_prefix="talks\\one")
    assert made(after, "EverTalkSampler")["filename_prefix"] == "talks/one"
    assert any("under this name" in text for text in said_of(after, COMBINE))


@pytest.mark.parametrize(
    ("prefix", "problem"),
    [
        ("C:\\talk", "a colon"),
        ("talk_%WanVideoSampler.seed%", "it has the value of a widget of a node that is another one now"),
    ],
)
def test_name_that_the_sampler_would_refuse_is_told_with_the_reason(prefix: str, problem: str) -> None:
    after = converted(filename_prefix=prefix)
    assert made(after, "EverTalkSampler")["filename_prefix"] == "EverTalk/talk"
    wanted = f"lost: filename_prefix {prefix}: {problem}. EverTalk Sampler writes EverTalk/talk instead"
    assert wanted in said_of(after, COMBINE)


def test_date_is_no_widget() -> None:
    after = converted(rule=no_rule, filename_prefix="%date:yyyy.MM.dd%/talk")
    assert made(after, "EverTalkSampler")["filename_prefix"] == "%date:yyyy.MM.dd%/talk"


def test_second_name_of_one_video_is_told() -> None:
    second = node(
        "VHS_VideoCombine", images=DECODED, audio=["125", 0], frame_rate=25, filename_prefix="second"
    )
    after = converted({"900": second}, filename_prefix="first")
    assert made(after, "EverTalkSampler")["filename_prefix"] == "first"
    assert f"lost: filename_prefix second: {ONCE}" in said_of(after, "900")
    assert not any("under this name" in text for text in said_of(after, "900"))


def test_sound_of_its_own_becomes_the_soundtrack_and_a_second_one_is_told() -> None:
    others = {name: node("LoadAudio", audio=f"{name}.wav") for name in ("900", "901")}
    second = node("VHS_VideoCombine", images=DECODED, audio=["901", 0], frame_rate=25, filename_prefix="b")
    after = converted({**others, "902": second}, audio=["900", 0])
    embeds = made(after, "EverTalkAudioEmbeds")
    assert after.workflow[embeds["soundtrack"][0]]["inputs"] == {"audio": "900.wav"}
    assert embeds["audio"] != embeds["soundtrack"]
    assert any("it becomes the soundtrack" in text for text in said_of(after, COMBINE))
    assert any("the video has the latter" in text for text in said_of(after, "902"))


def test_sound_that_is_heard_is_no_soundtrack() -> None:
    assert "soundtrack" not in made(converted(), "EverTalkAudioEmbeds")


def test_sound_made_of_the_encoded_one_is_no_soundtrack_but_told() -> None:
    """It would go in a circle."""
    (embeds,) = [i for i, one in read("gguf.api").items() if one["class_type"] == "MultiTalkWav2VecEmbeds"]
    info = INFO | {"Louder": {"input": {"required": {"audio": ["AUDIO", {}]}}, "output": ["AUDIO"]}}
    graph = read("gguf.api")
    graph["900"] = node("Louder", audio=[embeds, 1])
    graph[COMBINE]["inputs"]["audio"] = ["900", 0]
    after = convert(graph, info)
    assert "soundtrack" not in made(after, "EverTalkAudioEmbeds")
    assert any("the video has the latter" in text for text in said_of(after, COMBINE))


def test_name_behind_an_output_path_is_told() -> None:
    graph = read("gguf.api")
    graph[IMAGES]["inputs"]["output_path"] = "D:/frames"
    graph[COMBINE]["inputs"]["filename_prefix"] = "mine"
    after = convert(graph, INFO)
    assert made(after, "EverTalkSampler")["filename_prefix"] == "EverTalk/frames/talk"
    (told,) = [text for text in said_of(after, COMBINE) if text.startswith("lost: filename_prefix mine: ")]
    assert told.endswith("this one as EverTalk/frames/talk")


def test_name_that_only_a_run_would_tell_is_told() -> None:
    after = converted({"900": node("Nobody's Namer", text="a")}, filename_prefix=["900", 0])
    assert made(after, "EverTalkSampler")["filename_prefix"] == "EverTalk/talk"
    wanted = "lost: filename_prefix is computed by other nodes: EverTalk/talk is used"
    assert wanted in said_of(after, COMBINE)
