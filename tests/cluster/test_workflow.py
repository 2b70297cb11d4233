import json
from pathlib import Path
from typing import Any

import pytest
from evertalk_batch.errors import WorkflowError
from evertalk_batch.workflow import Kind, Workflow, mistake, read_workflow

API = Path(__file__).resolve().parent.parent.parent / "workflows" / "api"


@pytest.fixture
def talk() -> Workflow:
    return read_workflow(API / "infinitetalk_image.api.json")


def test_every_bundled_workflow_has_names_for_its_inputs() -> None:
    for path in sorted(API.glob("*.api.json")):
        names = read_workflow(path).friendly_names()
        assert "seed" in names, path
        assert "size" in names, path
    assert read_workflow(API / "infinitetalk_two_people.api.json").friendly_names().count("audio") == 0


def test_names_of_the_image_workflow(talk: Workflow) -> None:
    assert talk.friendly_names() == ["picture", "audio", "prompt", "seed", "size"]
    assert talk.inputs["prompt"].node == "8"
    assert talk.inputs["11.steps"].kind is Kind.NUMBER
    assert talk.inputs["EverTalk Sampler.steps"] == talk.inputs["11.steps"]
    assert talk.inputs["10.loudness"].kind is Kind.SWITCH
    assert "11.model" not in talk.inputs, "a link is no value"
    assert "11.filename_prefix" not in talk.inputs, "the batch sets it"


def test_filled_sets_values_and_leaves_the_workflow_alone(talk: Workflow) -> None:
    before = json.dumps(talk.nodes)
    nodes = talk.filled({"prompt": "Hello", "size": "640x384", "11.steps": 8}, "clip-1")
    sampler: dict[str, Any] = nodes["11"]["inputs"]
    assert (sampler["width"], sampler["height"], sampler["size"]) == (640, 384, "custom")
    assert sampler["steps"] == 8
    assert sampler["filename_prefix"] == "clip-1/talk"
    assert nodes["8"]["inputs"]["text"] == "Hello"
    assert json.dumps(talk.nodes) == before


@pytest.mark.parametrize(
    ("prefix", "filled"),
    [
        ("EverTalk/talk", "clip-1/talk"),
        ("EverTalk\\talk", "clip-1/talk"),
        ("talk", "clip-1/talk"),
        ("", "clip-1/video"),
        ("EverTalk/", "clip-1/video"),
        ("100% / talk", "clip-1/talk"),
        ("a/talk_%date:yyyy/MM/dd%", "clip-1/talk_%date:yyyy/MM/dd%"),
        ("%date:yyyy/MM%/talk", "clip-1/talk"),
        ("a/%My / node.seed%_talk", "clip-1/%My / node.seed%_talk"),
    ],
)
def test_last_name_of_a_prefix_is_kept_with_its_tokens(talk: Workflow, prefix: str, filled: str) -> None:
    nodes = {**talk.nodes, "11": {**talk.nodes["11"], "inputs": {"filename_prefix": prefix}}}
    made = Workflow(nodes, {}).filled({}, "clip-1")
    assert made["11"]["inputs"]["filename_prefix"] == filled


def test_model_inputs_are_those_of_loaders(talk: Workflow) -> None:
    assert talk.is_model_input("3.base_model")
    assert not talk.is_model_input("seed")
    assert not talk.is_model_input("picture")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("size", "832", "WIDTHxHEIGHT"),
        ("size", "0x480", "WIDTHxHEIGHT"),
        ("seed", "1", "a number"),
        ("seed", True, "a number"),
        ("10.loudness", 1, "true or false"),
        ("prompt", 3, "text"),
        ("picture", "", "a file's path"),
        ("picture", ["a"], "a file's path"),
    ],
)
def test_mistaken_values_are_told(talk: Workflow, name: str, value: object, words: str) -> None:
    assert words in str(mistake(talk.inputs[name], value))


def test_good_values_are_no_mistakes(talk: Workflow) -> None:
    values = {"size": "832x480", "seed": 2**63, "11.shift": 5, "prompt": "", "10.loudness": False}
    assert [mistake(talk.inputs[name], value) for name, value in values.items()] == [None] * 5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"nodes": [], "links": []}', r"export it with File > Export \(API\)"),
        ("{", "is no JSON"),
        ("[]", "no workflow in API format"),
        ('{"1": {"class_type": 3, "inputs": {}}}', "no workflow in API format"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "w.json"
    path.write_text(content)
    with pytest.raises(WorkflowError, match=words):
        read_workflow(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="cannot be read: No such file"):
        read_workflow(tmp_path / "w.json")
