"""What most people leave alone is out of sight unless it holds something; people's own words find nodes."""

import pytest
from comfy_server import ComfyServer
from editor_page import Editor
from editors import NEWEST, NEWEST_NODES, SOUND, each_editor

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

IN_SIGHT_JS = """(kind) => {
  const node = window.app.graph.nodes.find((one) => one.type === kind)
  const element = document.querySelector(`[data-node-id="${node.id}"]`)
  const texts = [...element.querySelectorAll('*')].filter((one) => !one.children.length)
    .map((one) => one.textContent)
  return node.widgets.map((widget) => widget.name).filter((name) => texts.includes(name))
}"""
SAMPLER, LOADER = "EverTalkSampler", "EverTalkModelLoader"
USUAL = {"output", "resume", "window_seeds", "pause_after", "format", "sampler_name"}
"""What the demo leaves at its default; it has window_frames and motion_frames of its own."""


def in_sight(editor: Editor, kind: str) -> set[str]:
    """The widgets that a node's element shows."""
    return set(editor.page.evaluate(IN_SIGHT_JS, kind))


def wait_for(editor: Editor, name: str, *, is_shown: bool = True) -> None:
    """Wait until the sampler shows a widget, or no longer does."""
    editor.wait(f"({IN_SIGHT_JS})('{SAMPLER}').includes('{name}') === {str(is_shown).lower()}")


@each_editor(NEWEST_NODES)
def test_new_nodes_show_what_most_people_set(editor: Editor) -> None:
    editor.load_demo(SOUND)  # the editor loads a graph of its own when it opens, after it can be asked
    editor.clear()
    editor.page.evaluate(
        """(kinds) => kinds.forEach((kind, index) => {
          const node = LiteGraph.createNode(kind)
          node.pos = [100 + 500 * index, 100]
          app.graph.add(node)
        })""",
        [SAMPLER, LOADER],
    )
    editor.show()
    wait_for(editor, "audio_scale")
    shown = in_sight(editor, SAMPLER)
    assert {"size", "scheduler", "seed", "shift", "filename_prefix"} <= shown
    assert not shown & (USUAL | {"window_frames", "motion_frames"})
    shown = in_sight(editor, LOADER)
    assert {"base_model", "talk_model", "quantization", "lora", "attention_mode"} <= shown
    assert not shown & {"mode", "reserve_vram_gb", "compute", "attention_budget"}


@each_editor(NEWEST_NODES)
def test_what_holds_something_else_than_its_default_stays_in_sight(editor: Editor) -> None:
    editor.load_demo(SOUND, pause_after=2)
    wait_for(editor, "pause_after")
    assert {"window_frames", "motion_frames"} <= in_sight(editor, SAMPLER)
    wait_for(editor, "resume", is_shown=False)
    editor.set(pause_after=0, resume="restart")
    wait_for(editor, "resume")
    wait_for(editor, "pause_after", is_shown=False)


@each_editor(NEWEST_NODES)
def test_node_shows_all_when_asked_and_what_is_in_sight_is_not_saved(editor: Editor) -> None:
    editor.load_demo(SOUND)
    wait_for(editor, "resume", is_shown=False)
    before = editor.page.evaluate("() => JSON.stringify(window.app.graph.serialize().nodes)")
    editor.set(pause_after=2)
    wait_for(editor, "pause_after")
    editor.set(pause_after=0)
    wait_for(editor, "pause_after", is_shown=False)
    assert editor.page.evaluate("() => JSON.stringify(window.app.graph.serialize().nodes)") == before
    node = editor.page.evaluate(f"() => window.app.graph.nodes.find((one) => one.type === '{SAMPLER}').id")
    button = editor.page.locator(f"[data-node-id='{node}'] [data-testid=advanced-inputs-button]")
    button.evaluate("(one) => one.click()")
    wait_for(editor, "resume")
    assert in_sight(editor, SAMPLER) >= USUAL


@each_editor(NEWEST)
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("lip sync", SAMPLER),
        ("talking head", SAMPLER),
        ("dub", "EverTalkVideoSource"),
        ("\u5bf9\u53e3\u578b", SAMPLER),  # to match the lips
    ],
)
def test_search_finds_nodes_by_what_people_call_it(
    editor: Editor, server: ComfyServer, words: str, kind: str
) -> None:
    if "search_aliases" not in server.client.object_info()["KSampler"]:
        pytest.skip("this ComfyUI passes no search words on to the editor")
    found = editor.page.evaluate(
        """(words) => {
          const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s
          return stores.get('nodeDef').nodeSearchService.searchNode(words).map((node) => node.name)
        }""",
        words,
    )
    assert kind in found[:5]
