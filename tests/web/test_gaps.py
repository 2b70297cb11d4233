"""Required sockets that have nothing behind them: the sampler's strip names them before a run is queued."""

import pytest
from editor_page import SAMPLER_JS, Editor
from editors import SOUND, Drawing, each_editor

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

RUNS = "57 frames, 5 windows, 64x64"
ALWAYS, MUTED, BYPASSED = 0, 2, 4

MODE_JS = """([type, mode]) => {
  window.app.graph.nodes.find((node) => node.type === type).mode = mode
}"""
UNPLUG_JS = """([type, name]) => {
  const node = window.app.graph.nodes.find((one) => one.type === type)
  node.disconnectInput(node.inputs.findIndex((input) => input.name === name))
}"""
INTO_SUBGRAPH_JS = """(types) => {
  const { graph } = window.app.canvas
  graph.convertToSubgraph(new Set(graph.nodes.filter((node) => types.includes(node.type))))
}"""
UNPLUG_SUBGRAPH_JS = """(name) => {
  const node = window.app.graph.nodes.find((one) => one.subgraph)
  node.disconnectInput(node.inputs.findIndex((input) => input.name === name))
}"""


@each_editor()
def test_muted_bypassed_and_empty_are_named_and_all_is_well_when_put_right(editor: Editor) -> None:
    editor.load_demo(SOUND)
    editor.wait_for_estimate(RUNS)
    loader = "model: EverTalk Model Loader, which feeds it, is "
    for mode, words in ((MUTED, "muted"), (BYPASSED, "bypassed and has nothing to pass on")):
        editor.page.evaluate(MODE_JS, ["EverTalkModelLoader", mode])
        editor.wait_for_estimate(loader + words)
        assert editor.strip().is_problem
    editor.page.evaluate(MODE_JS, ["EverTalkModelLoader", ALWAYS])
    editor.wait_for_estimate(RUNS)
    assert not editor.strip().is_problem
    editor.page.evaluate(UNPLUG_JS, ["EverTalkSampler", "vae"])
    editor.wait_for_estimate("vae: nothing is connected")


@each_editor()
def test_socket_of_what_feeds_the_sampler_is_named_with_its_node(editor: Editor) -> None:
    editor.load_demo(SOUND)
    editor.wait_for_estimate(RUNS)
    editor.page.evaluate(MODE_JS, ["LoadAudio", MUTED])
    editor.wait_for_estimate("EverTalk Audio Embeds, audio or speakers: Speech, which feeds it, is muted")
    editor.page.evaluate(MODE_JS, ["LoadAudio", ALWAYS])
    editor.page.evaluate(UNPLUG_JS, ["EverTalkAudioEmbeds", "audio_encoder"])
    editor.wait_for_estimate("EverTalk Audio Embeds, audio_encoder: nothing is connected")
    editor.page.evaluate(UNPLUG_JS, ["EverTalkAudioEmbeds", "audio"])


@each_editor()
def test_empty_socket_of_a_subgraph_is_named_at_the_sampler_inside(editor: Editor) -> None:
    editor.load_demo(SOUND)
    editor.page.evaluate(INTO_SUBGRAPH_JS, ["EverTalkSampler", "EverTalkAudioEmbeds"])
    editor.wait_for_estimate(RUNS)
    editor.page.evaluate(UNPLUG_SUBGRAPH_JS, "positive")
    editor.wait_for_estimate("positive: nothing is connected")


@each_editor()
def test_bypassed_node_that_passes_its_input_on_is_no_gap(editor: Editor) -> None:
    """A LoRA loader, for one: the model goes past it."""
    editor.load_demo(SOUND)
    editor.page.evaluate(f"""() => {{
      const {{ graph }} = window.app, sampler = {SAMPLER_JS}
      const loader = graph.nodes.find((node) => node.type === 'EverTalkModelLoader')
      const past = LiteGraph.createNode('ModelSamplingSD3')
      graph.add(past)
      loader.connect(0, past, 0)
      past.connect(0, sampler, sampler.inputs.findIndex((input) => input.name === 'model'))
      past.mode = {BYPASSED}
    }}""")
    editor.page.wait_for_timeout(1000)
    editor.wait_for_estimate(RUNS)
    editor.page.evaluate(UNPLUG_JS, ["ModelSamplingSD3", "model"])
    editor.wait_for_estimate("model: ModelSamplingSD3, which feeds it, is bypassed")


@each_editor()
def test_server_refuses_what_the_strip_calls_empty(editor: Editor, drawing: Drawing) -> None:
    editor.load_demo(SOUND, filename_prefix=f"{drawing.name}/gap")
    editor.page.evaluate(MODE_JS, ["EverTalkModelLoader", MUTED])
    editor.wait_for_estimate("is muted")
    prompt = editor.page.evaluate("async () => (await window.app.graphToPrompt()).output")
    (sampler,) = (node for node in prompt.values() if node["class_type"] == "EverTalkSampler")
    assert "model" not in sampler["inputs"]
    answer = editor.page.evaluate(
        """async (prompt) => {
          const body = JSON.stringify({ prompt })
          return (await fetch('/api/prompt', { method: 'POST', body })).status
        }""",
        prompt,
    )
    assert answer == 400
    editor.errors.clear()
