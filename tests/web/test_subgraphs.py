"""Samplers inside of subgraphs and of old group nodes, in the real editor."""

from typing import Any

import pytest
from comfy_server import ComfyServer
from editor_page import Editor
from editors import LONG_SOUND, SOUND, UNHURRIED, Drawing, each_editor

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

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
STRIP_OF_JS = """() => {
  const { nodes } = window.app.canvas.graph
  const widget = nodes.find(HAS_STRIPS)?.widgets.find((one) => one.name === 'evertalk_strip')
  const strips = widget ? [...widget.element.querySelectorAll('.evertalk-strip')] : []
  const words = (strip, name) => strip.querySelector(`.evertalk-${name}`).textContent
  return strips.map((strip) => ({
    is_shown: document.contains(strip),
    title: words(strip, 'title'),
    estimate: words(strip, 'estimate'),
    status: words(strip, 'status'),
    done: strip.querySelectorAll('.evertalk-cell[data-state=done]').length,
    buttons: [...strip.querySelectorAll('.evertalk-buttons button')].filter((one) => !one.hidden)
      .map((one) => one.textContent),
    video: strip.querySelector('video').hidden ? '' : strip.querySelector('video').src,
  }))
}""".replace("HAS_STRIPS", "(node) => node.widgets?.some(({ name }) => name === 'evertalk_strip')")
GROUP_JS = """async (names) => {
  const { graph } = window.app, { GroupNodeConfig } = window.comfyAPI.groupNode
  const [embeds, sampler] = names.map((type) => graph.nodes.find((node) => node.type === type))
  const sources = [embeds, sampler].flatMap((node) => node.inputs.filter((input) => input.link != null)
    .map((input) => [input.name, graph.links.get(input.link)])
    .filter(([, link]) => link.origin_id !== embeds.id)
    .map(([name, link]) => [name, graph.getNodeById(link.origin_id), link.origin_slot]))
  const slot = sampler.inputs.findIndex((input) => input.name === 'audio_embeds')
  const values = Object.fromEntries(sampler.widgets.map((widget) => [widget.name, widget.value]))
  const saved = (node, index) => ({ ...JSON.parse(JSON.stringify(node.serialize())), index })
  const links = [[0, 0, 1, slot, embeds.id, '*']]
  const grouped = { nodes: [embeds, sampler].map(saved), links, external: [] }
  graph.extra.groupNodes = { grouped }
  await GroupNodeConfig.registerFromWorkflow({ grouped }, [])
  graph.remove(embeds)
  graph.remove(sampler)
  const group = LiteGraph.createNode('workflow>grouped')
  graph.add(group)
  for (const [name, node, from] of sources)
    node.connect(from, group, group.inputs.findIndex((input) => input.name === name))
  for (const widget of group.widgets) if (widget.name in values) widget.value = values[widget.name]
}"""
"""Makes an old group node of speech and sampler, as workflows hold that were saved with one."""

TEXTS_JS = """(name) => window.app.canvas.graph.nodes
  .filter((node) => node.widgets?.some((widget) => widget.name === name)).map((node) => node.type)"""


def press(editor: Editor, words: str) -> None:
    """Press a button of the only strip in the graph that is shown; those around it are in the page too."""
    editor.page.evaluate(
        """(words) => {
          const { nodes } = window.app.canvas.graph
          const isStrip = (widget) => widget.name === 'evertalk_strip'
          const { element } = nodes.find((node) => node.widgets?.some(isStrip)).widgets.find(isStrip)
          ;[...element.querySelectorAll('button')].find((one) => one.textContent === words).click()
        }""",
        words,
    )


@each_editor()
def test_subgraph_that_is_looked_into_shows_its_run_and_the_console_stays_empty(
    editor: Editor, server: ComfyServer, drawing: Drawing
) -> None:
    editor.load_demo(LONG_SOUND, filename_prefix=f"{drawing.name}/inside", **UNHURRIED)
    editor.page.evaluate(INTO_SUBGRAPH_JS, INSIDE)
    editor.page.evaluate(OPEN_JS)
    editor.errors.clear()
    before = len(server.log)
    editor.queue()
    editor.wait_for_done(1)
    editor.wait(f"({TEXTS_JS})('{TEXT_WIDGET}').includes('EverTalkSampler')")
    press(editor, "Stop and keep")
    editor.wait_for_status("windows kept")
    assert "Window 1 of 125, step 20/20" in server.log[before:]
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
      const { RunState } = await import('/extensions/EverTalk/run_state.js')
      const strip = new WindowStrip(() => ({ node: null, around: [] }), () => {})
      const run = new RunState(), path = { filename: 'gone.mp4', subfolder: 'gone.run', type: 'output' }
      run.apply({ kind: 'window', prompt_id: 'p', windows: 2, window: 0, start_s: 0, text: '', path })
      const failed = new Promise((resolve) => strip.video.addEventListener('error', resolve))
      strip.follow(run)
      await failed
      return strip.video.hidden
    }""")
    assert hidden
    assert editor.errors == []


def outer(editor: Editor) -> list[dict[str, Any]]:
    """The strips on the only node that has some, in the graph that is shown."""
    return editor.page.evaluate(STRIP_OF_JS)


def wait_for_outer(editor: Editor, status: str) -> dict[str, Any]:
    editor.wait(f"({STRIP_OF_JS})()[0]?.status.includes('{status}')")
    (strip,) = outer(editor)
    assert strip["is_shown"]
    return strip


@each_editor()
def test_nested_subgraph_shows_the_run_of_the_sampler_inside_and_its_buttons_work(
    editor: Editor, server: ComfyServer, drawing: Drawing
) -> None:
    prefix = f"{drawing.name}/nested"
    editor.load_demo(SOUND, filename_prefix=prefix, pause_after=2, seed=4)
    for inside in (["EverTalkSampler"], ["EverTalkAudioEmbeds"]):
        editor.page.evaluate(INTO_SUBGRAPH_JS, inside)
    editor.wait(f"({STRIP_OF_JS})()[0]?.estimate.includes('57 frames, 5 windows')")
    editor.errors.clear()
    editor.queue()
    strip = wait_for_outer(editor, "2 of 5 windows kept")
    assert strip["done"] == 2
    assert "_incomplete.mp4" in strip["video"]
    assert strip["buttons"] == ["Go on"]
    press(editor, "Go on")
    wait_for_outer(editor, "4 of 5 windows kept")
    assert len(list(server.output.glob(f"{prefix}_r*.run"))) == 1, "the same run went on"
    editor.page.evaluate(OPEN_JS)
    wait_for_outer(editor, "4 of 5 windows kept")
    editor.page.evaluate(OPEN_JS)
    wait_for_outer(editor, "4 of 5 windows kept")
    assert editor.errors == []


@each_editor()
def test_two_samplers_inside_are_told_apart_and_strips_are_not_saved(editor: Editor) -> None:
    editor.load_demo(SOUND)
    editor.page.evaluate("""() => {
      const { graph } = window.app
      const twin = LiteGraph.createNode('EverTalkSampler')
      twin.title = 'Twin'
      graph.add(twin)
    }""")
    editor.page.evaluate(INTO_SUBGRAPH_JS, INSIDE)
    editor.wait(f"({STRIP_OF_JS})().length === 2")
    assert [strip["title"] for strip in outer(editor)] == ["EverTalk Sampler", "Twin"]
    saved = editor.page.evaluate(
        "() => JSON.stringify((window.app.rootGraph ?? window.app.graph).serialize())"
    )
    assert "evertalk_strip" not in saved
    editor.page.evaluate("""() => {
      const { subgraph } = window.app.graph.nodes.find((node) => node.subgraph)
      for (const node of [...subgraph.nodes]) if (node.type === 'EverTalkSampler') subgraph.remove(node)
    }""")
    editor.wait(f"!({STRIP_OF_JS})().length")


def test_old_group_node_shows_the_run_of_the_sampler_inside(editor: Editor, drawing: Drawing) -> None:
    """Later frontends make a subgraph of such a node when they open it."""
    editor.load_demo(SOUND, filename_prefix=f"{drawing.name}/grouped", pause_after=4, seed=5)
    editor.page.evaluate(GROUP_JS, INSIDE[::-1])
    editor.wait(f"({STRIP_OF_JS})()[0]?.estimate.startsWith('An old group node')")
    editor.errors.clear()
    editor.queue()
    strip = wait_for_outer(editor, "4 of 5 windows kept")
    assert "_incomplete.mp4" in strip["video"]
    press(editor, "Go on")
    strip = wait_for_outer(editor, "5 of 5 windows done")
    assert strip["buttons"] == []
    assert editor.errors == []
