import json
import struct

import pytest
from comfy_client import (
    ComfyClient,
    JobError,
    JobInterruptedError,
    JsonObject,
    NodeEvent,
    ServerError,
    StepEvent,
    TextEvent,
    describe_refusal,
    events_of,
    parse_message,
    parse_text,
    raise_for_failure,
)
from comfy_server import free_port


def test_text_of_a_binary_message_is_read_with_its_node() -> None:
    message = struct.pack(">II", 3, 2) + b"12" + "Window 2 of 3, é".encode()
    assert parse_text(message) == TextEvent("12", "Window 2 of 3, é")


def test_binary_preview_is_no_text() -> None:
    assert parse_text(struct.pack(">II", 1, 2) + b"\xff\xd8") is None
    assert parse_text(b"") is None


def test_message_without_data_is_read() -> None:
    assert parse_message('{"type": "status"}') == ("status", {})


def test_only_running_nodes_report_steps() -> None:
    nodes = {
        "4": {"state": "running", "value": 3, "max": 4, "real_node_id": "4"},
        "2": {"state": "finished", "value": 1, "max": 1, "real_node_id": "2"},
    }
    assert events_of("progress_state", {"nodes": nodes}) == [StepEvent("4", 3, 4)]


def test_executing_names_the_node_and_says_nothing_at_the_end() -> None:
    assert events_of("executing", {"node": "7"}) == [NodeEvent("7")]
    assert events_of("executing", {"node": None}) == []


def test_failure_names_node_reason_and_keeps_the_trace() -> None:
    data = {
        "node_id": "5",
        "node_type": "EverTalkSampler",
        "exception_message": "audio: empty\n",
        "exception_type": "InputError",
        "traceback": ["line 1\n", "line 2\n"],
    }
    with pytest.raises(
        JobError, match=r"Node 5 \(EverTalkSampler\) failed: audio: empty \[InputError\]"
    ) as caught:
        raise_for_failure("execution_error", data)
    assert caught.value.trace == "line 1\nline 2"


def test_interruption_is_told_apart_from_failure() -> None:
    with pytest.raises(JobInterruptedError, match=r"interrupted in node 5 \(EverTalkSampler\)"):
        raise_for_failure("execution_interrupted", {"node_id": "5", "node_type": "EverTalkSampler"})


def test_refusal_lists_every_mistake_of_every_node() -> None:
    answer = {
        "error": {"message": "Prompt outputs failed validation", "details": ""},
        "node_errors": {"1": {"errors": [{"message": "Value not in list", "details": "image: 'x.png'"}]}},
    }
    told = describe_refusal(json.dumps(answer), {"1": {"class_type": "LoadImage"}})
    assert told.splitlines() == [
        "The workflow was refused: Prompt outputs failed validation",
        "  node 1 (LoadImage): Value not in list: image: 'x.png'",
    ]


def test_refusal_that_is_no_json_is_passed_on() -> None:
    assert describe_refusal("Bad gateway", {}) == "The workflow was refused: Bad gateway"


def test_absent_server_is_named_by_its_address() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    workflow: JsonObject = {}
    with pytest.raises(ServerError, match=f"No answer from {address}/system_stats"):
        ComfyClient(address).system_stats()
    with pytest.raises(ServerError, match=f"connection to {address} was lost"):
        ComfyClient(address).run(workflow)
