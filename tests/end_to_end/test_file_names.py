"""Names with tokens, and what a client sends along with a workflow, in the real server."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import av
import pytest
from comfy_client import ComfyClient, JobError, JsonObject
from server_run import SAMPLER, SPEECH, WEIGHTS, Graph, Run, Stage

pytestmark = pytest.mark.host

SHORT = 1600
FIRST_STEP = "Window 1 of 1, step 1/"


@dataclass
class Sender:
    """Queues with more beside the prompt than the client sends, as the editor and other programs do."""

    stage: Stage
    extra_pnginfo: Any = field(default_factory=dict[str, Any])

    def post(self, graph: Graph, client_id: str = "") -> JsonObject:
        """The server's answer, with its status."""
        sent = {"prompt": graph, "extra_data": {"extra_pnginfo": self.extra_pnginfo}, "client_id": client_id}
        request = urllib.request.Request(f"{self.stage.client.address}/prompt", json.dumps(sent).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request) as answer:
                return {"status": answer.status, **json.load(answer)}
        except urllib.error.HTTPError as error:
            return {"status": error.code, **json.load(error)}

    def forget_history(self) -> None:
        """Empty the server's record of finished jobs."""
        self.stage.client.ask("/history", {"clear": True})

    def run(self, graph: Graph) -> Run:
        """Queue a graph and wait for its end."""
        run, sender = Run(), self

        class Client(ComfyClient):
            def queue(self, workflow: JsonObject) -> str:
                return sender.post(workflow, self.client_id)["prompt_id"]

        try:
            run.outcome = Client(self.stage.client.address).run(graph, run.note, timeout_s=300)
        except JobError as error:
            run.error = error
        return run


def metadata_of(video: Path) -> dict[str, str]:
    with av.open(str(video)) as container:
        return dict(container.metadata)


def today(days: int = 0) -> str:
    return (datetime.now().astimezone() + timedelta(days=days)).strftime("%Y-%m-%d")


def test_file_lies_where_its_tokens_say_and_the_run_is_found_again(stage: Stage) -> None:
    name = stage.folder.name
    graph = stage.graph(
        stage.speech(SHORT),
        seed=31,
        filename_prefix=f"{name}/%date:yyyy-MM-dd% \\ talk_%EverTalkSampler.seed%_%width%_%My sound.audio%",
    )
    workflow = {"nodes": [{"id": int(SPEECH), "title": "My sound", "properties": {}}]}
    before = today()
    run = Sender(stage, {"workflow": workflow}).run(graph)
    video = stage.video_path(run)
    assert any(text.startswith(FIRST_STEP) for text in run.texts)
    sound = graph[SPEECH]["inputs"]["audio"]
    assert video.name == f"talk_31_32_{sound}_00001_.mp4"
    assert video.parent.relative_to(stage.server.output).as_posix() in {
        f"{name}/{before}",
        f"{name}/{today()}",
    }
    assert any("the spaces around a name in" in text for text in run.texts)
    assert json.loads(metadata_of(video)["workflow"]) == workflow
    (folder,) = (stage.server.output / name).glob("talk_32_r*.run")
    assert folder.is_dir()
    # Asked again, the server's cache answers: a date does not make the node run by itself.
    cached = Sender(stage, {"workflow": workflow}).run(graph)
    assert SAMPLER not in cached.nodes
    # Without the cache, the run is found by its folder.
    stage.client.forget()
    again = Sender(stage, {"workflow": workflow}).run(graph)
    assert SAMPLER in again.nodes
    assert stage.video_path(again) == video
    assert not any(text.startswith(FIRST_STEP) for text in again.texts)


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("%datum%/talk", "filename_prefix: %datum% is unknown. Known are %date:yyyy-MM-dd%"),
        ("%date:DD%/talk", "filename_prefix: %date:DD% has no value: 'DD' is not a part of a date"),
        ("%date:hh:mm%", "has the character ':'"),
        ("%EverTalkSampler.sed%", "%EverTalkSampler.sed% has no value: EverTalkSampler has no widget 'sed'"),
        ("%Sampler.seed%", "%Sampler.seed% has no value: no node that runs has the title or type 'Sampler'"),
        ("..\\talk", "leads out of the output folder"),
        ("talk/ ", "ends in a folder"),
    ],
)
def test_prefix_that_is_no_name_is_refused_when_queued(stage: Stage, prefix: str, reason: str) -> None:
    graph = stage.graph(stage.speech(SHORT), filename_prefix=prefix)
    answer = Sender(stage).post(graph)
    assert answer["status"] == 400
    (error,) = answer["node_errors"][SAMPLER]["errors"]
    assert error["extra_info"]["input_name"] == "filename_prefix"
    assert reason in error["details"]


def test_prefix_is_not_looked_at_where_nothing_is_written(stage: Stage) -> None:
    graph = stage.graph(stage.speech(SHORT), filename_prefix="%datum%", output="latent")
    assert stage.run(graph).error is None


def test_prefix_that_comes_over_a_link_is_refused_before_weights_load(stage: Stage) -> None:
    graph = stage.graph(stage.speech(SHORT), filename_prefix=["20", 0])
    graph["20"] = {"class_type": "PrimitiveString", "inputs": {"value": "%EverTalkSampler.sed%"}}
    run = stage.run(graph)
    assert "filename_prefix: %EverTalkSampler.sed% has no value" in run.refusal
    assert not WEIGHTS & set(run.nodes)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (["workflow"], "extra_pnginfo: list, expected an object"),
        ("workflow", "extra_pnginfo: str, expected an object"),
        ({"half \ud800": 1}, r"extra_pnginfo: the name 'half \ud800' has a character that cannot be written"),
        ({"n" * 201: 1}, "extra_pnginfo: the name"),
    ],
)
def test_metadata_that_cannot_be_written_is_refused_before_weights_load(
    stage: Stage, extra: object, reason: str
) -> None:
    run = Sender(stage, extra).run(stage.graph(stage.speech(SHORT)))
    assert reason in run.refusal
    assert not WEIGHTS & set(run.nodes)


def test_odd_metadata_is_written_as_far_as_it_can_be_aloud(stage: Stage) -> None:
    extra = {
        "workflow": {"nodes": [{"title": "half \ud800", "widgets_values": [float("nan")]}]},
        "encoder": "mine",
        "note=1;": {"text": "\n"},
    }
    sender = Sender(stage, extra)
    run = sender.run(stage.graph(stage.speech(SHORT), seed=32))
    # The host's history holds the NaN as it came, and no browser can read that JSON.
    sender.forget_history()
    assert run.error is None
    said = " | ".join(run.texts)
    assert "metadata: workflow holds NaN or infinity, which JSON does not have; null is written" in said
    assert "metadata: encoder is not written into the file" in said
    written = metadata_of(stage.video_path(run))
    assert json.loads(written["workflow"]) == {"nodes": [{"title": "half \ud800", "widgets_values": [None]}]}
    assert json.loads(written["note=1;"]) == {"text": "\n"}
    assert json.loads(written["prompt"])[SAMPLER]["inputs"]["seed"] == 32
