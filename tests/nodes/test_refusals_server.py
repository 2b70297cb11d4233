"""A refused prompt names the one widget that is wrong, in what the real server answers."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer
from server_run import MODEL, demo_inputs

pytestmark = pytest.mark.host

LOADER = demo_inputs(MODEL)
SCHEDULE: dict[str, Any] = {"prompts": "0s: she smiles", "picture_times": "0s: 1"}
GUIDANCE: dict[str, Any] = {
    "text_scale": 1.0,
    "audio_scale": 1.0,
    "apg": False,
    "apg_momentum": 0.0,
    "apg_norm_threshold": 0.0,
    "audio_start_percent": 0.5,
    "audio_end_percent": 0.9,
}
NODES = {"EverTalkModelLoader": LOADER, "EverTalkSchedule": SCHEDULE, "EverTalkGuidance": GUIDANCE}
WRONG = [
    ("EverTalkModelLoader", "base_model", "gone.safetensors", "there is no file `gone.safetensors`"),
    ("EverTalkModelLoader", "talk_model", "gone.safetensors", "there is no file `gone.safetensors`"),
    ("EverTalkModelLoader", "lora", "gone.safetensors", "there is no file `gone.safetensors`"),
    ("EverTalkSchedule", "prompts", "1s: she smiles", "the first entry must start at 0s"),
    ("EverTalkSchedule", "picture_times", "1s: 1", "the first entry must start at 0s"),
    ("EverTalkGuidance", "audio_end_percent", 0.2, "before audio_start_percent"),
    ("EverTalkGuidance", "audio_start_percent", 1.5, "from 0 to 1"),
]


def answer_to(server: ComfyServer, prompt: dict[str, Any]) -> dict[str, Any]:
    """What the server says to a prompt, refused or not."""
    body = json.dumps({"prompt": prompt}).encode()
    request = urllib.request.Request(f"{server.client.address}/prompt", body)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def shown(node: str, **values: Any) -> dict[str, Any]:
    """A node whose first output is shown, in API format."""
    return {
        "1": {"class_type": node, "inputs": NODES[node] | values},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


@pytest.mark.parametrize(("node", "widget", "value", "reason"), WRONG)
def test_refusal_names_the_widget_that_is_wrong_and_no_other(
    comfy_server: ComfyServer, tiny_models: Path, node: str, widget: str, value: object, reason: str
) -> None:
    del tiny_models
    answer = answer_to(comfy_server, shown(node, **{widget: value}))
    (error,) = answer["node_errors"]["1"]["errors"]
    assert error["extra_info"]["input_name"] == widget
    assert reason in error["details"]


def test_refusal_beside_an_output_that_runs_names_one_widget_too(comfy_server: ComfyServer) -> None:
    prompt = shown("EverTalkSchedule", picture_times="1s: 1")
    prompt["3"] = {"class_type": "PreviewAny", "inputs": {"source": "hello"}}
    answer = answer_to(comfy_server, prompt)
    assert answer["prompt_id"]
    assert [error["extra_info"]["input_name"] for error in answer["node_errors"]["1"]["errors"]] == [
        "picture_times"
    ]


def test_what_the_host_itself_refuses_stays(comfy_server: ComfyServer) -> None:
    """A widget out of its range beside one that the node refuses: both are named."""
    answer = answer_to(comfy_server, shown("EverTalkGuidance", audio_scale=-1.0, audio_end_percent=0.2))
    named = {error["extra_info"]["input_name"] for error in answer["node_errors"]["1"]["errors"]}
    assert named == {"audio_scale", "audio_end_percent"}


def test_refusals_of_other_packs_are_left_alone() -> None:
    from evertalk_pack.nodes.host.server.refusals import without_repeats

    def errors() -> list[dict[str, Any]]:
        return [
            {
                "type": "custom_validation_failed",
                "details": f"{name} - width: too small",
                "extra_info": {"input_name": name},
            }
            for name in ("width", "height")
        ]

    answer = {"1": {"class_type": "Theirs", "errors": errors()}}
    assert not without_repeats(answer)
    assert answer["1"]["errors"] == errors()
    answer = {"1": {"class_type": "EverTalkLook", "errors": errors()}}
    assert without_repeats(answer)
    assert answer["1"]["errors"] == errors()[:1]
