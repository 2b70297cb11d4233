"""Workflows in pictures and videos, stored as ComfyUI and VideoHelperSuite do it."""

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from evertalk_pack.convert import stored
from evertalk_pack.convert.errors import ConvertError
from evertalk_pack.convert.stored import HEAD_BYTES, is_media, stored_workflow
from stored_media import (
    Held,
    mkv,
    mp4,
    mp4_with_a_comment,
    packed_png,
    packed_unicode_png,
    png,
    unicode_png,
    video,
    webp,
)

EDITORS = {"nodes": [{"id": 1, "title": "\u8bf4\u8bdd"}]}
QUEUED = {"1": {"class_type": "A", "inputs": {"text": "\u8bf4\u8bdd"}}}
BOTH = {"workflow": EDITORS, "prompt": QUEUED}


@pytest.mark.parametrize(
    "make",
    [png, packed_png, unicode_png, packed_unicode_png, webp, mp4, mkv, mp4_with_a_comment],
)
def test_what_was_queued_is_found_before_what_the_editor_had(make: Callable[[Held], bytes]) -> None:
    data = make(BOTH)
    assert is_media(data[:HEAD_BYTES])
    assert stored_workflow(io.BytesIO(data)) == QUEUED


@pytest.mark.parametrize("make", [png, webp, mp4])
def test_what_the_editor_had_is_found_where_it_stands_alone(make: Callable[[Held], bytes]) -> None:
    assert stored_workflow(io.BytesIO(make({"workflow": EDITORS}))) == EDITORS


@pytest.mark.parametrize("make", [png, webp, mp4])
def test_file_without_a_workflow_is_refused_with_what_to_do(make: Callable[[Held], bytes]) -> None:
    with pytest.raises(ConvertError, match=r"holds no workflow.*or the workflow as JSON"):
        stored_workflow(io.BytesIO(make({})))


@pytest.mark.parametrize("make", [png, webp, mp4])
@pytest.mark.parametrize("foreign", ["a cat", None, ["a cat"]])
def test_prompt_of_another_program_does_not_hide_the_workflow(
    make: Callable[[Held], bytes], foreign: object
) -> None:
    data = make({"prompt": foreign, "workflow": EDITORS})
    assert stored_workflow(io.BytesIO(data)) == EDITORS


def test_text_that_is_not_utf_8_is_no_reason_to_refuse_a_video() -> None:
    queued: dict[str, Any] = {"1": {"class_type": "A", "inputs": {"text": "Zoe"}}}
    data = video({"prompt": json.dumps(queued), "title": "Zoe"}).replace(b"Zoe", b"Zo\xeb")
    queued["1"]["inputs"] = {"text": "Zo\ufffd"}
    assert stored_workflow(io.BytesIO(data)) == queued


def test_comment_of_another_program_is_passed_over() -> None:
    with pytest.raises(ConvertError, match="the file holds no workflow"):
        stored_workflow(io.BytesIO(video({"comment": "{made by another"})))
    held = {"comment": json.dumps({"workflow": EDITORS}), "prompt": "a cat"}
    assert stored_workflow(io.BytesIO(video(held))) == EDITORS


def test_text_of_another_program_may_be_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MAX_TEXT_BYTES", 200)
    data = png({"parameters": "a" * 1000, "prompt": QUEUED})
    assert stored_workflow(io.BytesIO(data)) == QUEUED


def test_node_that_always_runs_is_no_obstacle() -> None:
    changed = {"1": {"class_type": "A", "inputs": {}, "is_changed": [float("nan")]}}
    found: Any = stored_workflow(io.BytesIO(png({"prompt": changed})))
    assert found["1"]["is_changed"] == [None]


@pytest.mark.parametrize(
    "data",
    [
        png({"workflow": 1}).replace(b"workflow\x001", b"workflow\x00{"),
        b"RIFF\0\0\0\0WEBPEXIF" + struct.pack("<I", 6) + b"II*\0\1\0",
        b"\0\0\0\x18ftypmp42 and no more",
    ],
)
def test_damaged_file_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(ConvertError, match="the file is damaged, or what it holds is not a workflow"):
        stored_workflow(io.BytesIO(data))


@pytest.mark.parametrize("packed", [False, True])
def test_text_that_is_too_long_is_not_read(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MAX_TEXT_BYTES", 200)
    long = {"prompt": {"1": "a" * 1000}}
    with pytest.raises(ConvertError, match=r"a text of .* bytes"):
        stored_workflow(io.BytesIO(png(long, packed=packed)))


def test_json_is_no_media() -> None:
    assert not is_media(b'{"nodes": []')
