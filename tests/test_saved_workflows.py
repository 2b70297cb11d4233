"""Workflows saved with earlier releases open with the values that they were saved with, and queue."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from comfy_client import JobError
from comfy_server import ComfyServer
from make_workflows import is_link, read_inputs
from node_fields import UPLOAD_WIDGETS

pytestmark = pytest.mark.host

SAVED = Path(__file__).resolve().parent / "saved_workflows"
FILES = sorted(file for file in SAVED.glob("*/*.json"))
MODEL_OR_MEDIA = re.compile(r"\.(safetensors|jpg|png|flac|wav|mp4)$")
ABOUT_FILES = ("Value not in list", "Custom validation failed", "Invalid")


@pytest.fixture(scope="module")
def descriptions(comfy_server: ComfyServer) -> dict[str, Any]:
    return comfy_server.client.object_info()


def api_twin(file: Path) -> dict[str, Any]:
    """The same workflow as a program queued it then."""
    text = (file.parent / "api" / f"{file.stem}.api.json").read_text(encoding="utf-8")
    return json.loads(text)


def without_files(workflow: dict[str, Any]) -> dict[str, Any]:
    """It with files that no server has, so that it is refused wherever the tests run, and never made."""
    for node in workflow.values():
        for name, value in node["inputs"].items():
            if isinstance(value, str) and MODEL_OR_MEDIA.search(value):
                node["inputs"][name] = f"not there/{value}"
    return workflow


def fields_in_order(description: dict[str, Any]) -> list[str]:
    """The fields of a node of today in the order in which the editor hands out saved values."""
    names: list[str] = []
    for one in read_inputs(description):
        if one.is_widget:
            extra = [f"{one.name}.{name}" for name in UPLOAD_WIDGETS if one.options.get(name)]
            more = [part for name in extra for part in [name] * len(UPLOAD_WIDGETS[name.rpartition(".")[2]])]
            names += [one.name, *(["control"] if one.is_controlled else []), *more]
    return names


def test_there_is_one_of_each_release() -> None:
    assert [folder.name for folder in sorted(SAVED.iterdir())] == ["0.1.0"]
    assert len(FILES) >= 7


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_saved_values_still_go_to_the_fields_that_they_were_saved_from(
    file: Path, descriptions: dict[str, Any]
) -> None:
    then = api_twin(file)
    for node in json.loads(file.read_text(encoding="utf-8"))["nodes"]:
        if str(node["id"]) not in then:  # a note
            continue
        fields = fields_in_order(descriptions[node["type"]])
        assert len(node["widgets_values"]) <= len(fields), node["type"]
        now = dict(zip(fields, node["widgets_values"], strict=False))
        for name, value in then[str(node["id"])]["inputs"].items():
            if not is_link(value):
                assert now[name] == value, (node["type"], name)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_saved_links_still_lead_to_sockets_of_their_type(file: Path, descriptions: dict[str, Any]) -> None:
    graph = json.loads(file.read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in graph["nodes"]}
    for _, source, slot, target, target_slot, kind in graph["links"]:
        assert descriptions[nodes[source]["type"]]["output"][slot] == kind
        name = nodes[target]["inputs"][target_slot]["name"]
        sockets = {one.name: one.kind for one in read_inputs(descriptions[nodes[target]["type"]])}
        assert sockets[name] == kind


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_saved_workflow_is_refused_for_nothing_but_files_that_are_not_there(
    file: Path, comfy_server: ComfyServer
) -> None:
    with pytest.raises(JobError) as refused:
        comfy_server.client.queue(without_files(api_twin(file)))
    lines = [line for line in str(refused.value).splitlines() if line.startswith("  node ")]
    assert lines
    assert [line for line in lines if not any(mark in line for mark in ABOUT_FILES)] == []
