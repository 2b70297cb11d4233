"""The menu entry that converts a workflow of WanVideoWrapper, in the real editor."""

import json
from pathlib import Path
from typing import Any

import pytest
from editor_page import Editor
from editors import each_editor

pytestmark = pytest.mark.host

WORKFLOWS = Path(__file__).resolve().parents[1] / "wrapper_workflows"
COMMAND = "EverTalk.ConvertWanVideoWrapper"
TALK = "WanInfiniteTalkToVideo"
LOAD_JS = "(graph) => window.app.loadGraphData(graph, true, true, null)"
CONVERT_JS = f"() => window.app.extensionManager.command.execute('{COMMAND}')"
TYPES_JS = "() => window.app.graph.nodes.map((node) => node.type)"
SAMPLER_JS = """() => {
  const sampler = window.app.graph.nodes.find((node) => node.type === 'EverTalkSampler')
  return Object.fromEntries(sampler.widgets.map(({ name, value }) => [name, value]))
}"""
NOTE_JS = "() => window.app.graph.nodes.find((node) => node.type === 'Note').widgets[0].value"
ENTRY_JS = f"() => window.app.extensionManager.command.commands.find(({{ id }}) => id === '{COMMAND}')?.label"


def opened(editor: Editor, name: str) -> Any:
    """Open a workflow whose nodes the server has not; the editor says so in a dialog."""
    graph = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    editor.page.evaluate(LOAD_JS, graph)
    editor.page.keyboard.press("Escape")
    return graph


@each_editor()
def test_entry_is_in_the_menu(editor: Editor) -> None:
    assert editor.page.evaluate(ENTRY_JS) == "Convert this workflow to EverTalk"


@each_editor()
def test_open_workflow_becomes_one_of_evertalk_with_a_note_of_what_was_lost(editor: Editor) -> None:
    opened(editor, "single")
    editor.page.evaluate(CONVERT_JS)
    assert "EverTalkSampler" in editor.page.evaluate(TYPES_JS)
    assert editor.missing_nodes() == []
    values = editor.page.evaluate(SAMPLER_JS)
    assert (values["width"], values["height"], values["seed"], values["shift"]) == (640, 640, 2, 11)
    assert "[lost] MelBandRoFormerSampler" in editor.page.evaluate(NOTE_JS)
    editor.shoot("converted")


@each_editor()
def test_open_workflow_of_two_subgraphs_that_continue_one_another_becomes_one_sampler(editor: Editor) -> None:
    """Where the nodes are missing, the editor itself mistakes the order of their subgraph's values."""
    if TALK not in editor.client.object_info():
        pytest.skip("this ComfyUI has no InfiniteTalk nodes of its own")
    opened(editor, "core_in_subgraphs")
    editor.page.evaluate(CONVERT_JS)
    assert editor.page.evaluate(TYPES_JS).count("EverTalkSampler") == 1
    assert editor.missing_nodes() == []
    values = editor.page.evaluate(SAMPLER_JS)
    assert (values["width"], values["motion_frames"], values["seed"], values["steps"]) == (640, 13, 5, 6)
    assert "2 parts that continue one another" in editor.page.evaluate(NOTE_JS)


@each_editor()
def test_other_workflow_is_left_as_it_is_and_a_message_says_why(editor: Editor) -> None:
    editor.page.evaluate(
        LOAD_JS, json.loads((WORKFLOWS.parents[1] / "workflows" / "demo_tiny.json").read_text())
    )
    before = editor.page.evaluate(TYPES_JS)
    editor.page.evaluate(CONVERT_JS)
    editor.page.get_by_text("it has no WanVideoSampler").first.wait_for()
    assert editor.page.evaluate(TYPES_JS) == before
