"""The bundled workflows: both formats say the same, and every value is one that the real server knows."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from app_mode import FIELDS
from comfy_client import JobError
from comfy_server import ComfyServer
from host import COMFYUI_VERSION, has_comfyui
from make_workflows import (
    SUBGRAPHS,
    WORKFLOWS,
    api_files,
    blueprint_texts,
    editor_text,
    model_names,
    twin_of,
    workflow_name,
)
from model_files import MADE_HERE, MODEL_FILES
from node_fields import Input, is_link, read_inputs, widget_values

MAX_NODES = 12
MAX_NODES_OF = {"infinitetalk_directed": 16, "infinitetalk_two_people": 15, "flashtalk_image": 10}
"""Those that show more nodes than a first workflow should hold, and one of fewer."""

README = WORKFLOWS.parent / "README.md"
MISSING_FILE = re.compile(r"\.(safetensors|jpg|png|flac|mp4)\b")
API_FILES = api_files()

Descriptions = dict[str, Any]
each_workflow = pytest.mark.parametrize("api_file", API_FILES, ids=workflow_name)


@pytest.fixture(scope="module")
def descriptions(comfy_server: ComfyServer) -> Descriptions:
    return comfy_server.client.object_info()


def nodes_of(api_file: Path) -> dict[str, Any]:
    return json.loads(api_file.read_text())


def test_there_are_workflows_for_the_demo_and_for_the_real_models() -> None:
    assert {"demo_tiny", "infinitetalk_image"} <= {workflow_name(file) for file in API_FILES}


def test_every_template_is_in_the_editors_format_and_has_a_twin_and_a_thumbnail() -> None:
    templates = sorted(WORKFLOWS.glob("*.json"))  # the files that ComfyUI lists
    assert templates == sorted(twin_of(file) for file in API_FILES)
    assert [file.name for file in templates if "nodes" not in json.loads(file.read_text())] == []
    assert [file.name for file in templates if not file.with_suffix(".jpg").is_file()] == []


@each_workflow
def test_workflow_has_few_nodes(api_file: Path) -> None:
    most = MAX_NODES_OF.get(workflow_name(api_file), MAX_NODES)
    assert 0 < len(nodes_of(api_file)) <= most
    assert len(json.loads(twin_of(api_file).read_text())["nodes"]) == len(nodes_of(api_file)) + 1  # the note


@each_workflow
def test_note_and_links_name_every_model_file_with_its_folder(api_file: Path) -> None:
    twin = json.loads(twin_of(api_file).read_text(encoding="utf-8"))
    named = {name for node in nodes_of(api_file).values() for name in model_names(node)}
    assert named
    if all(name.startswith(MADE_HERE) for name in named):
        assert note_text(twin).count("make demo") >= 2  # in both languages
        return
    for name in named:
        file = MODEL_FILES[name]
        assert f"`models/{file.folder}`: [{name}]({file.url})" in note_text(twin)
    linked = [link for node in twin["nodes"] for link in node["properties"].get("models", [])]
    files = {name for name in named if not MODEL_FILES[name].is_repository}
    assert {link["name"] for link in linked} == files
    for link in linked:
        assert link["url"].endswith(f"/{link['name']}"), "the editor offers a link only if both names agree"
        assert link["directory"] == MODEL_FILES[link["name"]].folder


def test_readme_and_workflows_agree_on_repositories_and_folders() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if line.startswith("| `") and line.count("|") == 5]
    table = {name: (row[2], row[4]) for row in rows for name in re.findall(r"`([^`]+\.safetensors)`", row[1])}
    both = table.keys() & MODEL_FILES.keys()
    assert len(both) == 7
    for name in both:
        folders, repository = table[name]
        assert f"`{MODEL_FILES[name].folder}`" in folders
        assert MODEL_FILES[name].repository in repository


def note_text(twin: dict[str, Any]) -> str:
    (note,) = (node for node in twin["nodes"] if node["type"] == "MarkdownNote")
    return note["widgets_values"][0]


@pytest.mark.host
@each_workflow
def test_editors_file_is_what_the_api_file_gives(
    api_file: Path, descriptions: Descriptions, comfyui: Path
) -> None:
    stored = twin_of(api_file).read_text(encoding="utf-8")
    made = editor_text(api_file, descriptions)
    if not has_comfyui(comfyui, COMFYUI_VERSION):
        made = without_new_outputs(made, stored)
    assert stored == made, "make workflows"


def without_new_outputs(made: str, stored: str) -> str:
    """The editor's file without the outputs that a later host's nodes have gained and no link takes."""
    graph = json.loads(made)
    for node, known in zip(graph["nodes"], json.loads(stored)["nodes"], strict=True):
        kept = len(known["outputs"])
        assert [output for output in node["outputs"][kept:] if output["links"]] == []
        node["outputs"] = node["outputs"][:kept]
    return json.dumps(graph, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.host
@each_workflow
def test_every_input_is_known_and_every_needed_input_is_given(
    api_file: Path, descriptions: Descriptions
) -> None:
    for node in nodes_of(api_file).values():
        known = {one.name: one for one in read_inputs(descriptions[node["class_type"]])}
        needed = {name for name, one in known.items() if not one.is_optional}
        assert needed <= node["inputs"].keys() <= known.keys(), node["class_type"]


@pytest.mark.host
@each_workflow
def test_every_link_joins_sockets_of_one_type(api_file: Path, descriptions: Descriptions) -> None:
    nodes = nodes_of(api_file)
    for node in nodes.values():
        kinds = {one.name: one.kind for one in read_inputs(descriptions[node["class_type"]])}
        for name, value in node["inputs"].items():
            if is_link(value):
                source, slot = value
                assert descriptions[nodes[source]["class_type"]]["output"][slot] == kinds[name], name


@pytest.mark.host
@each_workflow
def test_every_choice_is_one_of_the_choices(api_file: Path, descriptions: Descriptions) -> None:
    for node in nodes_of(api_file).values():
        for one in read_inputs(descriptions[node["class_type"]]):
            value = node["inputs"].get(one.name)
            if one.kind != "COMBO" or value is None or value in MODEL_FILES:
                continue
            if not MISSING_FILE.search(value):
                assert value in one.options["options"], f"{node['class_type']}.{one.name}"


@pytest.mark.host
def test_fields_of_app_mode_are_those_of_the_nodes(descriptions: Descriptions) -> None:
    known = {kind: {one.name for one in read_inputs(descriptions[kind])} for kind in FIELDS}
    assert [(kind, name) for kind, names in FIELDS.items() for name in names if name not in known[kind]] == []


def loaders_without_file(workflow: dict[str, Any], folder: Path) -> list[Any]:
    """The nodes that load a file which other tests have not put into the input folder."""
    loaders = [node["inputs"] for node in workflow.values() if "Load" in node["class_type"]]
    return [
        inputs
        for inputs in loaders
        if not any(isinstance(value, str) and (folder / value).is_file() for value in inputs.values())
    ]


@pytest.mark.host
def test_server_refuses_nothing_but_files_that_are_not_there(comfy_server: ComfyServer) -> None:
    workflow = nodes_of(WORKFLOWS / "api" / "infinitetalk_image.api.json")
    with pytest.raises(JobError) as refused:
        comfy_server.client.queue(workflow)
    mistakes = [line for line in str(refused.value).splitlines() if line.startswith("  node")]
    assert len(mistakes) >= len(loaders_without_file(workflow, comfy_server.base / "input"))
    assert [line for line in mistakes if not MISSING_FILE.search(line)] == []


def widget(name: str, kind: str, **options: Any) -> Input:
    return Input(name, kind, options, is_optional=False)


def test_seed_is_followed_by_what_becomes_of_it() -> None:
    inputs = [widget("seed", "INT", control_after_generate=True), widget("output", "COMBO")]
    assert widget_values(inputs, {"seed": 7, "output": "video"}) == [7, "fixed", "video"]


def test_upload_buttons_take_a_place_behind_the_files_name() -> None:
    picture, sound = widget("image", "COMBO", image_upload=True), widget("audio", "COMBO", audio_upload=True)
    assert widget_values([picture], {"image": "a.jpg"}) == ["a.jpg", "image"]
    assert widget_values([sound], {"audio": "a.flac"}) == ["a.flac", None, None]


def test_field_without_a_value_or_with_a_link_keeps_its_default() -> None:
    inputs = [widget("width", "INT", default=832), widget("height", "INT", default=480)]
    assert widget_values(inputs, {"width": ["3", 0]}) == [832, 480]


def test_sockets_come_before_fields_and_take_no_value() -> None:
    description = {"input": {"required": {"text": ["STRING", {}], "clip": ["CLIP"], "type": [["wan"]]}}}
    inputs = read_inputs(description)
    assert [(one.name, one.kind) for one in inputs] == [
        ("clip", "CLIP"),
        ("text", "STRING"),
        ("type", "COMBO"),
    ]
    assert widget_values(inputs, {"clip": ["1", 0], "text": "hello", "type": "wan"}) == ["hello", "wan"]


def test_field_that_a_workflow_does_not_name_is_as_in_a_new_node() -> None:
    choice, level = ["COMBO", {"options": ["whole", "part"]}], ["FLOAT", {"default": 0.6}]
    described = read_inputs({"input": {"optional": {"choice": choice, "level": level}}})
    assert widget_values(described, {}) == ["whole", 0.6]
    assert widget_values(described, {"choice": ["1", 0]}) == ["whole", 0.6]


def test_blueprints_are_made_of_the_workflows_as_they_are_and_hold_ascii_alone() -> None:
    """ComfyUI 0.3.75 reads them in the system's encoding."""
    texts = blueprint_texts({file: file.read_text(encoding="utf-8") for file in map(twin_of, API_FILES)})
    assert {file.name: file.read_text(encoding="ascii") for file in SUBGRAPHS.glob("*.json")} == {
        file.name: text for file, text in texts.items()
    }, "make workflows"
