"""A text or a number in place of a link is refused by the socket's name; a fingerprint never raises."""

import asyncio
import inspect
import math
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer
from server_run import Stage

pytestmark = pytest.mark.host

LITERALS = ["", "half \ud800 a character", 7, 1.5, True]


def all_nodes() -> Any:
    """The classes of the pack's nodes."""
    from evertalk_pack.nodes.extension import EverTalkExtension

    return asyncio.run(EverTalkExtension().get_node_list())


def nodes_with_sockets() -> list[tuple[str, str]]:
    """Every socket of every node of the pack."""
    from comfy_api.latest import io

    return [
        (node.__name__, socket.id)
        for node in all_nodes()
        for socket in node.define_schema().inputs
        if not isinstance(socket, io.WidgetInput) and socket.get_io_type() != "LATENT"
    ]


def node_of(name: str) -> Any:
    """A node's class."""
    return next(node for node in all_nodes() if node.__name__ == name)


@pytest.mark.parametrize("literal", LITERALS, ids=repr)
def test_every_socket_of_every_node_refuses_a_literal_by_its_name(literal: object) -> None:
    from evertalk_pack.multitalk.common.errors import InputError
    from evertalk_pack.nodes.host.report.node import check_inputs

    sockets = nodes_with_sockets()
    assert len(sockets) > 30
    for node, socket in sockets:
        with pytest.raises(InputError, match=f"^{socket}: got the value") as error:
            check_inputs(node_of(node), {socket: literal})
        str(error.value).encode()


@pytest.mark.parametrize("name", [7, True, [1], {"a": 1}, "x" * 5000], ids=lambda name: type(name).__name__)
@pytest.mark.parametrize(
    ("node", "widget"),
    [
        ("EverTalkLoadSpeech", "audio"),
        ("EverTalkAudioEncoderLoader", "encoder"),
        ("EverTalkModelLoader", "base_model"),
        ("EverTalkModelLoader", "talk_model"),
    ],
)
def test_a_file_name_that_is_no_name_is_refused_by_the_widget_before_anything_runs(
    node: str, widget: str, name: object
) -> None:
    answer = node_of(node).validate_inputs(**{widget: name})
    if inspect.iscoroutine(answer):
        answer = asyncio.run(answer)
    assert isinstance(answer, str)
    assert answer.startswith(f"{widget}: ")
    assert len(answer) < 400


def test_a_node_that_looks_when_it_runs_refuses_a_name_that_is_no_name_too() -> None:
    from evertalk_pack.multitalk.common.errors import InputError

    for name in (7, [1], "x" * 5000):
        with pytest.raises(InputError, match=r"^file: "):
            node_of("EverTalkTextEmbeds").execute(file=name, save_as="")


def test_a_positive_of_no_text_is_refused_before_any_weights_load(
    comfy_server: ComfyServer, tiny_models: Path, tmp_path: Path
) -> None:
    del tiny_models
    stage = Stage(comfy_server, tmp_path)
    comfy_server.client.upload(Path(__file__).resolve().parents[2] / "demo" / "media" / "portrait.jpg")
    graph = stage.graph(stage.speech(16000))
    sampler = next(node for node in graph.values() if node["class_type"] == "EverTalkSampler")
    sampler["inputs"]["positive"] = ""
    run = stage.run(graph)
    assert "positive: got the value ''" in run.refusal
    assert "CONDITIONING" in run.refusal
    loaders = {key for key, node in graph.items() if node["class_type"] == "EverTalkModelLoader"}
    assert not loaders & set(run.nodes), "nothing was loaded"


def test_a_fingerprint_that_cannot_be_taken_lets_the_node_run_and_say_why() -> None:
    for name, widget in (
        ("EverTalkLoadSpeech", "audio"),
        ("EverTalkTextEmbeds", "file"),
        ("EverTalkAudioEncoderLoader", "encoder"),
        ("EverTalkModelLoader", "base_model"),
        ("EverTalkApply", "talk_model"),
    ):
        for value in ("half \ud800 a character", 7, [1], {"a": 1}, "x" * 5000):
            stamp = node_of(name).fingerprint_inputs(**{widget: value})
            if name in ("EverTalkLoadSpeech", "EverTalkTextEmbeds", "EverTalkAudioEncoderLoader"):
                assert isinstance(stamp, float)
                assert math.isnan(stamp), "no file of that name"
                again = node_of(name).fingerprint_inputs(**{widget: value})
                assert (stamp,) != (again,), "the host's keys are alike where it is the same object"
