"""Which settings are losses: none that changes nothing, and each that does."""

import json
from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import Conversion, convert
from evertalk_pack.convert.read import tidied
from evertalk_pack.convert.remarks import Level

INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["a.png"]]}}, "output": ["IMAGE", "MASK"]},
    "LoadAudio": {"input": {"required": {"audio": [["a.wav"]]}}, "output": ["AUDIO"]},
}
VIEW, SAMPLER, SPEECH, COMBINE = "237", "128", "194", "131"
SILENT_END = "trim_to_audio off: the video there goes on in silence"


def converted(node_id: str, **inputs: Any) -> Conversion:
    graph: dict[str, Any] = read("gguf.api")
    graph[node_id]["inputs"] |= inputs
    return convert(graph, INFO)


def losses(conversion: Conversion) -> list[str]:
    return [str(remark) for remark in conversion.remarks if remark.level is Level.LOST]


def sampler_of(conversion: Conversion) -> dict[str, Any]:
    (found,) = [n["inputs"] for n in conversion.workflow.values() if n["class_type"] == "EverTalkSampler"]
    return found


def test_number_a_rounding_away_from_the_usual_one_is_the_usual_one() -> None:
    usual = losses(convert(read("gguf.api"), INFO))
    assert losses(converted(VIEW, ratio=0.5000000000000001, strength_1=1.0000000000000002)) == usual
    assert losses(converted(SPEECH, audio_scale=0.9999999999999999, fps=25.000000000000004)) == usual
    after = converted(
        SAMPLER, cfg=1.0000000000000002, shift=11.000000000000002, denoise_strength=0.9999999999
    )
    assert losses(after) == usual
    assert (sampler_of(after)["text_scale"], sampler_of(after)["shift"]) == (1.0, 11.0)


def test_number_of_the_editors_form_is_rounded_too() -> None:
    graph = read("single")
    rounded = json.loads(json.dumps(graph))
    (view,) = [node for node in rounded["nodes"] if node["type"] == "WanVideoClipVisionEncode"]
    view["widgets_values"][0] += 2.3e-16
    assert view["widgets_values"][0] not in (0, 1)
    assert convert(rounded, INFO) == convert(graph, INFO)


def test_number_that_somebody_chose_is_a_loss() -> None:
    assert any("ratio 0.501 has no counterpart" in loss for loss in losses(converted(VIEW, ratio=0.501)))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.5000000000000001, 0.5), (0.30000000000000004, 0.3), (0.1234567, 0.1234567), (1e-8, 1e-8), (3, 3)],
)
def test_rounding_takes_away_errors_of_sums_alone(value: float, wanted: float) -> None:
    assert tidied(value) == wanted


def test_trimming_to_the_sound_is_what_is_done_and_its_absence_is_told() -> None:
    on, off = converted(COMBINE, trim_to_audio=True), converted(COMBINE, trim_to_audio=False)
    assert losses(on) == losses(off)
    assert not any("trim_to_audio" in remark.text for remark in on.remarks)
    (told,) = [remark for remark in off.remarks if "trim_to_audio" in remark.text]
    assert told.level is Level.CHANGED
    assert told.text.startswith(SILENT_END)
