"""What is written into files about a run: all that can be, and what only a mistake can be is refused."""

import json
import math
from typing import Any

import pytest
from evertalk_pack.multitalk.common.errors import InputError

pytestmark = pytest.mark.host

PROMPT: dict[str, Any] = {"8": {"class_type": "EverTalkSampler", "inputs": {"seed": 1}, "is_changed": [2]}}
AS_QUEUED = {"8": {"class_type": "EverTalkSampler", "inputs": {"seed": 1}}}


def written(extra: Any, prompt: Any = PROMPT, **limits: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    from evertalk_pack.nodes.host.run.metadata import run_metadata

    made = run_metadata(prompt, extra, **limits)
    return {
        name: json.loads(text, parse_constant=pytest.fail) for name, text in made.texts.items()
    }, made.notes


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize("nothing", [None, {}, []])
def test_prompt_is_written_as_it_was_queued(nothing: object) -> None:
    assert written(nothing) == ({"prompt": AS_QUEUED}, ())
    assert written(nothing, None) == ({}, ())


def test_what_the_editor_sends_is_written_whatever_is_in_it() -> None:
    workflow = {"nodes": [{"title": "half \ud800", "a \n\0 b": ["é", None, 1e300, True]}]}
    assert written({"workflow": workflow, "Pack's own; a=b": 3}) == (
        {"prompt": AS_QUEUED, "workflow": workflow, "Pack's own; a=b": 3},
        (),
    )


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (["workflow"], r"list, expected an object\. Send an object such as"),
        ("{}", "str, expected an object"),
        (7, "int, expected an object"),
        ({"": 1}, "the name '' is an empty text"),
        ({" ": 1}, "the name ' ' is an empty text"),
        ({5: 1}, "the name 5 is not text"),
        ({"n" * 201: 1}, "has 201 characters, more than 200"),
        ({"half \ud800": 1}, r"the name 'half \\ud800' has a character that cannot be written"),
        ({"two\n  lines": 1}, r"the name 'two\\n  lines' has a character that cannot be written"),
        ({"nul\0": 1}, "has a character that cannot be written"),
        ({"workflow": 1, "Workflow": 2}, "the names 'workflow' and 'Workflow' are one to video files"),
        ({str(number): 1 for number in range(101)}, "101 entries, expected 100 at most"),
    ],
)
def test_what_only_a_mistake_can_be_is_refused(extra: object, reason: str) -> None:
    from evertalk_pack.nodes.host.run.metadata import check_metadata

    with pytest.raises(InputError, match=f"^extra_pnginfo: .*{reason}") as refusal:
        check_metadata(extra)
    str(refusal.value).encode()
    with pytest.raises(InputError):
        written(extra)


def test_numbers_that_json_has_not_are_written_as_null() -> None:
    extra = {"workflow": {"a": [1.5, math.nan], "b": (math.inf,)}}
    assert written(extra) == (
        {"prompt": AS_QUEUED, "workflow": {"a": [1.5, None], "b": [None]}},
        ("metadata: workflow holds NaN or infinity, which JSON does not have; null is written",),
    )


def test_nan_that_the_host_puts_into_a_prompt_is_no_cause_to_warn() -> None:
    node = {"class_type": "LoadImage", "inputs": {}, "is_changed": [math.nan]}
    assert written(None, {"4": node}) == ({"prompt": {"4": {**node, "is_changed": [None]}}}, ())


def test_what_is_nested_too_deep_is_left_out_aloud() -> None:
    entries, notes = written({"workflow": nested(200), "deep": nested(201)})
    assert entries == {"prompt": AS_QUEUED, "workflow": nested(200)}
    assert notes == ("metadata: deep is not written into the file: it is nested more than 200 deep",)


def test_what_is_too_large_is_left_out_aloud_and_the_rest_is_written() -> None:
    content = {"picture": "x" * 2**20, "workflow": {"nodes": []}}
    entries, notes = written(content, most_bytes=2**20)
    assert entries == {"prompt": AS_QUEUED, "workflow": {"nodes": []}}
    (note,) = notes
    assert note == (
        "metadata: picture is not written into the file: it has 1.0 MiB, and all entries may have 1 MiB"
    )


@pytest.mark.parametrize("name", ["encoder", "Creation_Time"])
def test_names_that_files_keep_for_themselves_are_left_out_aloud(name: str) -> None:
    entries, notes = written({name: "me"})
    assert entries == {"prompt": AS_QUEUED}
    assert notes == (
        f"metadata: {name} is not written into the file, which has an entry of its own of this name",
    )


def test_the_prompt_that_ran_is_written_and_no_other() -> None:
    entries, notes = written({"Prompt": {}})
    assert entries == {"prompt": AS_QUEUED}
    assert notes == ("metadata: Prompt of extra_pnginfo is not written; the prompt that ran is",)


def test_nothing_is_written_or_refused_where_the_user_switched_it_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from comfy.cli_args import args

    monkeypatch.setattr(args, "disable_metadata", True)
    assert written(["nonsense"]) == ({}, ())
