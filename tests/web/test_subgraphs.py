"""Samplers inside of subgraphs, in the real editor."""

import pytest
from comfy_server import ComfyServer
from editor_page import Editor
from editors import Drawing, each_editor

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

SOUND = "speech_2.3.wav"
INSIDE = ["EverTalkSampler", "EverTalkAudioEmbeds"]
TEXT_WIDGET = "$$node-text-preview"
"""How the editor calls the line of text that a node says while it runs."""

INTO_SUBGRAPH_JS = """(types) => {
  const { graph } = window.app.canvas
  const inside = new Set(graph.nodes.filter((node) => types.includes(node.type) || node.subgraph))
  return graph.convertToSubgraph(inside).node.id
}"""
OPEN_JS = """() => {
  const { canvas } = window.app
  const node = canvas.graph.nodes.find((one) => one.subgraph)
  canvas.openSubgraph(node.subgraph, node)
}"""
TEXTS_JS = """(name) => window.app.canvas.graph.nodes
  .filter((node) => node.widgets?.some((widget) => widget.name === name)).map((node) => node.type)"""


@each_editor()
def test_subgraph_that_is_looked_into_shows_its_run_and_the_console_stays_empty(
    editor: Editor, server: ComfyServer, drawing: Drawing
) -> None:
    editor.load_demo(SOUND, filename_prefix=f"{drawing.name}/inside", steps=4)
    editor.page.evaluate(INTO_SUBGRAPH_JS, INSIDE)
    editor.page.evaluate(OPEN_JS)
    editor.errors.clear()
    editor.queue()
    editor.wait_for_status("5 of 5 windows done")
    assert "Window 5 of 5, step 4/4" in server.log
    assert editor.page.evaluate(TEXTS_JS, TEXT_WIDGET) == ["EverTalkSampler"]
    assert editor.errors == []


@each_editor()
def test_text_of_a_node_outside_is_not_put_on_a_node_inside(editor: Editor) -> None:
    """The subgraph's nodes may have the same numbers as those around it."""
    editor.load_demo(SOUND)
    editor.page.evaluate(INTO_SUBGRAPH_JS, INSIDE)
    editor.page.evaluate("""() => {
      const { graph } = window.app.canvas
      const loader = graph.nodes.find((node) => node.type === 'EverTalkModelLoader')
      const { subgraph } = graph.nodes.find((node) => node.subgraph)
      const twin = LiteGraph.createNode('EverTalkLook')
      twin.id = loader.id
      subgraph.add(twin)
    }""")
    editor.page.evaluate(OPEN_JS)
    shown = editor.page.evaluate(f"""() => {{
      const loader = window.app.rootGraph.nodes.find((node) => node.type === 'EverTalkModelLoader')
      const {{ api }} = window.comfyAPI.api
      api.dispatchCustomEvent('progress_text', {{ nodeId: String(loader.id), text: 'loads' }})
      return ({TEXTS_JS})('{TEXT_WIDGET}')
    }}""")
    assert shown == []


def test_part_that_has_just_been_removed_is_no_error_in_the_console(editor: Editor) -> None:
    editor.load_demo(SOUND)
    editor.errors.clear()
    hidden = editor.page.evaluate("""async () => {
      const { WindowStrip } = await import('/extensions/EverTalk/window_strip.js')
      const node = window.app.graph.nodes.find((one) => one.type === 'EverTalkSampler')
      const strip = new WindowStrip(node), { RunState } = await import('/extensions/EverTalk/run_state.js')
      const run = new RunState(), path = { filename: 'gone.mp4', subfolder: 'gone.run', type: 'output' }
      run.apply({ kind: 'window', prompt_id: 'p', windows: 2, window: 0, start_s: 0, text: '', path })
      const failed = new Promise((resolve) => strip.video.addEventListener('error', resolve))
      strip.follow(run)
      await failed
      return strip.video.hidden
    }""")
    assert hidden
    assert editor.errors == []
