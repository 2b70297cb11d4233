"""What a client's prompt gives our nodes, before the host looks at it."""

from typing import Any

import pytest

pytestmark = pytest.mark.host


def mended(inputs: Any, kind: str = "EverTalkSpeakers", **limits: int) -> Any:
    from evertalk_pack.nodes.host.server.queued_inputs import with_plain_inputs
    from evertalk_pack.nodes.speakers import EverTalkSpeakers

    asked = {"prompt": {"1": {"class_type": kind, "inputs": inputs}}, "number": 3}
    made = with_plain_inputs({"EverTalkSpeakers": EverTalkSpeakers}, asked, **limits)
    assert made["number"] == 3
    return made["prompt"]["1"]["inputs"]


def test_a_wrapped_list_is_a_text_and_no_link() -> None:
    assert mended({"boxes": {"__value__": ["a", 1, 2]}}) == {"boxes": "['a', 1, 2]"}
    assert mended({"boxes": {"__value__": {"__value__": []}}}) == {"boxes": "[]"}


@pytest.mark.parametrize(
    "inputs", [{"audio_a": ["3", 0]}, {"boxes": {"__value__": "a"}}, {"boxes": {}}, [1], 3]
)
def test_links_and_other_values_stay(inputs: Any) -> None:
    assert mended(inputs) == inputs


def test_a_foreign_node_stays() -> None:
    wrapped = {"a": {"__value__": ["a", 1, 2]}}
    assert mended(wrapped, "LoadImage") == wrapped
    assert mended(wrapped, kind=["EverTalkSpeakers"]) == wrapped  # type: ignore[arg-type]


def test_of_too_many_inputs_those_that_the_node_knows_stay(caplog: pytest.LogCaptureFixture) -> None:
    few = {"boxes": "", "audio_a": ["3", 0], "audio_z": ["3", 0]}
    assert mended(few, most_inputs=3) == few
    assert mended({**few, "mask_z": 3}, most_inputs=3) == {"boxes": "", "audio_a": ["3", 0]}
    assert "EverTalkSpeakers '1': 4 inputs came, of which it knows 2; the others are left out" in caplog.text


@pytest.mark.parametrize(
    "prompt", [None, [], "a", {"1": None}, {"1": {"inputs": 3}}, {"1": {"class_type": 3}}]
)
def test_a_body_that_is_no_prompt_is_the_host_s_to_refuse(prompt: Any) -> None:
    from evertalk_pack.nodes.host.server.queued_inputs import with_plain_inputs

    assert with_plain_inputs({}, {"prompt": prompt}) == {"prompt": prompt}
    assert with_plain_inputs({}, [prompt]) == [prompt]
    assert with_plain_inputs({}, None) is None
