"""EverTalk Text Embeddings is an output node only where it saves."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from comfy_server import ComfyServer
from server_run import PROMPT, SAMPLER, Graph, Stage

pytestmark = pytest.mark.host

TINY = "evertalk_tiny_prompt.safetensors"
ENCODE = "none (encode)"


@pytest.fixture
def stage(comfy_server: ComfyServer, tiny_models: Path, tmp_path: Path) -> Stage:
    del tiny_models
    return Stage(comfy_server, tmp_path)


def saving(name: str, file: str = ENCODE, kind: str = "EverTalkTextEmbeds") -> Graph:
    """A prompt that was saved before, saved again under another name; nothing is behind it."""
    inputs = {"save_as": name, "conditioning": ["1", 0]} | (
        {"file": file} if kind == "EverTalkTextEmbeds" else {}
    )
    return {
        "1": {"class_type": "EverTalkTextEmbeds", "inputs": {"file": TINY, "save_as": ""}},
        "2": {"class_type": kind, "inputs": inputs},
    }


@pytest.mark.parametrize("kind", ["EverTalkTextEmbeds", "EverTalkSaveTextEmbeds"])
def test_a_prompt_is_saved_with_nothing_behind(kind: str, stage: Stage) -> None:
    run = stage.run(saving(f"alone_{kind}", kind=kind))
    assert run.outcome is not None, run.error
    assert (stage.server.output / "evertalk_text_embeds" / f"alone_{kind}.safetensors").is_file()


def test_a_wrong_name_is_refused_by_the_node_that_was_queued(stage: Stage) -> None:
    assert "cannot be a file name here" in stage.run(saving("no/folder")).refusal


def status_of(stage: Stage, graph: Graph) -> int:
    body = json.dumps({"prompt": graph}).encode()
    request = urllib.request.Request(f"{stage.client.address}/prompt", body)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_loaded_prompt_does_not_run_beside_a_refused_sampler(stage: Stage) -> None:
    graph = stage.graph(stage.speech(8_000))
    del graph[SAMPLER]["inputs"]["vae"]
    assert graph[PROMPT]["class_type"] == "EverTalkTextEmbeds"
    assert status_of(stage, graph) == 400, "nothing of it runs"


def test_what_is_asked_to_be_saved_is_saved_beside_a_refused_sampler(stage: Stage) -> None:
    graph = stage.graph(stage.speech(8_000))
    del graph[SAMPLER]["inputs"]["vae"]
    graph |= {f"9{name}": node for name, node in saving("beside").items()}
    graph["92"]["inputs"]["conditioning"] = ["91", 0]
    assert status_of(stage, graph) == 200
    stage.run(saving("behind"))  # jobs run in their order: when this one has ended, so has that
    assert (stage.server.output / "evertalk_text_embeds" / "beside.safetensors").is_file()


def test_the_editor_is_told_which_of_the_two_is_an_output_node(stage: Stage) -> None:
    info = stage.client.object_info()
    assert not info["EverTalkTextEmbeds"]["output_node"]
    assert info["EverTalkSaveTextEmbeds"]["output_node"]


@pytest.mark.parametrize(
    "node",
    [
        None,
        {},
        {"class_type": "EverTalkTextEmbeds"},
        {"class_type": "EverTalkTextEmbeds", "inputs": {"file": TINY, "save_as": "x"}},
        {"class_type": "EverTalkTextEmbeds", "inputs": {"file": ENCODE, "save_as": " "}},
        {"class_type": "EverTalkTextEmbeds", "inputs": {"file": ["3", 0], "save_as": "x"}},
        {"class_type": "LoadImage", "inputs": {"file": ENCODE, "save_as": "x"}},
    ],
)
def test_other_nodes_are_queued_as_they_came(node: object) -> None:
    from evertalk_pack.nodes.host.server.saving import with_savers

    assert with_savers({"prompt": {"1": node}, "number": 3}) == {"prompt": {"1": node}, "number": 3}
    assert with_savers({"prompt": 3}) == {"prompt": 3}
    assert with_savers([3]) == [3]
    assert with_savers(None) is None


def test_a_name_that_comes_over_a_link_is_saved_to(stage: Stage) -> None:
    del stage
    from evertalk_pack.nodes.host.server.saving import with_savers

    node = {
        "class_type": "EverTalkTextEmbeds",
        "inputs": {"file": ENCODE, "save_as": ["3", 0]},
        "_meta": {"title": "t"},
    }
    assert with_savers({"prompt": {"1": node}})["prompt"]["1"] == {
        "class_type": "EverTalkSaveTextEmbeds",
        "inputs": {"save_as": ["3", 0]},
        "_meta": {"title": "t"},
    }
