"""A text with half a character (an unpaired surrogate) is refused by name, and the server goes on working.

JSON can spell such a text, and nothing can write it. ComfyUI's worker thread ends when an error's message
cannot be logged, so after each refusal another job has to run.
"""

import itertools
from pathlib import Path
from typing import Any

import pytest
from comfy_client import ComfyClient, JobError
from comfy_server import ComfyServer
from server_run import MODEL, demo_inputs

pytestmark = pytest.mark.host

HALF = "half \ud800 a character"
SHOWN = r"\ud800"
_FRESH = itertools.count()

LOADER = demo_inputs(MODEL)
NODES: dict[str, dict[str, Any]] = {
    "EverTalkModelLoader": LOADER,
    "EverTalkAudioEncoderLoader": {"encoder": "evertalk_tiny_wav2vec2.safetensors"},
    "EverTalkTextEmbeds": {"file": "evertalk_tiny_prompt.safetensors", "save_as": ""},
    "EverTalkSchedule": {"prompts": "0s: she smiles", "picture_times": "0s: 1"},
    "EverTalkLoadSpeech": {"audio": "speech.flac"},
    "EverTalkSpeakers": {"audio_a": ["9", 0], "arrangement": "add", "timeline": "", "boxes": ""},
}
TEXTS = [
    (node, name) for node, inputs in NODES.items() for name, value in inputs.items() if isinstance(value, str)
]
LINKED = [
    ("EverTalkSchedule", "prompts"),
    ("EverTalkSchedule", "picture_times"),
    ("EverTalkSpeakers", "timeline"),
    ("EverTalkSpeakers", "boxes"),
]
SOUND = {"class_type": "EmptyAudio", "inputs": {"duration": 1.0, "sample_rate": 16000, "channels": 1}}


def graph_of(node: str, **values: Any) -> dict[str, dict[str, Any]]:
    """A node whose first output is shown, in API format; the text and the sound that it may need."""
    return {
        "1": {"class_type": node, "inputs": NODES[node] | values},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        "3": {"class_type": "PrimitiveString", "inputs": {"value": HALF}},
        "9": SOUND,
    }


def refusal_of(client: ComfyClient, graph: dict[str, dict[str, Any]]) -> str:
    """Why the server refused a graph or its job failed; it has to answer within a minute."""
    with pytest.raises(JobError) as error:
        client.run(graph, timeout_s=60)
    return str(error.value)


def still_works(client: ComfyClient) -> bool:
    """Whether the worker does another job, which no cache can answer."""
    graph = {"1": {"class_type": "PreviewAny", "inputs": {"source": f"job {next(_FRESH)}"}}}
    return "1" in client.run(graph, timeout_s=60).outputs


@pytest.mark.parametrize(("node", "widget"), TEXTS)
def test_half_a_character_in_a_widget_is_refused_by_name(
    comfy_server: ComfyServer, tiny_models: Path, node: str, widget: str
) -> None:
    del tiny_models
    refusal = refusal_of(comfy_server.client, graph_of(node, **{widget: HALF}))
    assert widget in refusal
    assert "Traceback" not in refusal
    refusal.encode()
    assert still_works(comfy_server.client)


@pytest.mark.parametrize(("node", "widget"), LINKED)
def test_half_a_character_over_a_link_fails_that_job_alone(
    comfy_server: ComfyServer, tiny_models: Path, node: str, widget: str
) -> None:
    del tiny_models
    refusal = refusal_of(comfy_server.client, graph_of(node, **{widget: ["3", 0]}))
    assert widget in refusal
    assert SHOWN in refusal
    refusal.encode()
    assert still_works(comfy_server.client)
