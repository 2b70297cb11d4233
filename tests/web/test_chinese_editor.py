"""The real editor in Chinese: names, choices, errors, progress, help, and links to missing models."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chinese import read_chinese
from comfy_server import ComfyServer
from editor_page import IS_OPEN, NODE_ELEMENTS, WAIT_MS
from editor_reports import read_missing_models, read_report
from editors import Drawing, each_editor
from make_workflows import WORKFLOWS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.host

WRAPPER_WORKFLOWS = Path(__file__).resolve().parents[1] / "wrapper_workflows"
MISSING_MODELS = ("Comfy.Workflow.ShowMissingModelsWarning", "Comfy.ErrorSystem.ShowMissingModels")
"""The settings, of earlier and of later frontends, that other editors on the same server switch off."""

SETTINGS = {"Comfy.Locale": "zh", "Comfy.TutorialCompleted": True} | dict.fromkeys(MISSING_MODELS, True)
ADD_AND_QUEUE = """async ([type, values, slot]) => {
  const { app, LiteGraph } = window
  app.graph.clear()
  const node = LiteGraph.createNode(type)
  app.graph.add(node)
  for (const widget of node.widgets) if (widget.name in values) widget.value = values[widget.name]
  const shown = LiteGraph.createNode(slot === null ? 'PreviewAny' : 'PreviewImage')
  app.graph.add(shown)
  node.connect(slot ?? 0, shown, 0)
  await app.loadGraphData(app.graph.serialize(), true, true, null) // a tab to which errors belong
  await app.queuePrompt(0, 1)
}"""


@pytest.fixture(scope="module")
def page(drawing: Drawing, server: ComfyServer, browser: "Browser") -> "Iterator[Page]":
    """The editor in Chinese; the server's own settings stay as they are."""
    settings = SETTINGS | {NODE_ELEMENTS: drawing.has_node_elements}

    def speak_chinese(route: "Route") -> None:
        if route.request.method != "GET":
            route.fulfill(json={})
            return
        answer = route.fetch()
        route.fulfill(json={**answer.json(), **settings})

    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.set_default_timeout(WAIT_MS)
    page.route("**/api/settings", speak_chinese)
    page.goto(server.client.address)
    page.wait_for_function(f"() => {IS_OPEN}")
    yield page
    page.close()


def report_after(page: "Page", node: str, values: dict[str, Any], slot: int | None) -> str:
    """What the editor shows of a queued node, one of whose outputs is shown."""
    page.evaluate(ADD_AND_QUEUE, [node, values, slot])
    return read_report(page)


@each_editor()
def test_node_its_sockets_and_choices_are_named_in_chinese(page: "Page") -> None:
    node = page.evaluate("""() => {
      const node = window.LiteGraph.createNode('EverTalkSampler')
      return {
        title: node.title,
        inputs: Object.fromEntries(node.inputs.map((one) => [one.name, one.localized_name])),
        resume: node.widgets.find((one) => one.name === 'resume').options.getOptionLabel('restart'),
      }
    }""")
    chinese = read_chinese()
    assert node["title"] == chinese.names["EverTalk Sampler"]
    assert node["inputs"]["text_scale"] == chinese.names["text_scale"]
    assert node["inputs"]["audio_embeds"] == chinese.names["audio_embeds"]
    assert node["resume"] == chinese.options["restart"]


@each_editor()
def test_error_of_a_running_node_is_shown_in_both_languages(page: "Page") -> None:
    english = "audio_a: nobody has a voice; connect Load Audio to audio_a, audio_b, ..."
    shown = report_after(page, "EverTalkSpeakers", {}, 2)
    assert read_chinese().messages[english].partition("\uff1a")[2] in shown
    assert english in shown


@each_editor()
def test_refused_widget_is_shown_in_both_languages(page: "Page") -> None:
    shown = report_after(page, "EverTalkSchedule", {"prompts": "1s: she smiles"}, None)
    assert read_chinese().messages["the first entry must start at 0s"] in shown
    assert "the first entry must start at 0s" in shown


@each_editor()
def test_progress_on_a_node_is_said_in_chinese(page: "Page") -> None:
    said = page.evaluate("""() => new Promise((resolve) => {
      const { api } = window.comfyAPI.api
      api.addEventListener('progress_text', ({ detail }) => resolve(detail.text), { once: true })
      api.dispatchCustomEvent('progress_text', { nodeId: '999', text: 'Window 2 of 7, step 3/4' })
    })""")
    assert said not in (None, "Window 2 of 7, step 3/4")
    assert "3/4" in said


@each_editor()
@pytest.mark.parametrize(("node", "is_said"), [("EverTalkAudioEmbeds", True), ("KSampler", False)])
def test_only_errors_of_our_own_nodes_are_said_in_chinese(page: "Page", node: str, is_said: bool) -> None:
    english = "audio: there is no sound; connect Load Audio, or a video that has a sound track"
    error = {"node_type": node, "exception_message": english, "traceback": [], "node_id": "1"}
    said = page.evaluate(
        """(error) => new Promise((resolve) => {
          const { api } = window.comfyAPI.api
          api.addEventListener('execution_error', ({ detail }) => resolve(detail), { once: true })
          api.dispatchCustomEvent('execution_error', error)
        })""",
        error,
    )["exception_message"]
    assert english in said
    chinese = read_chinese().messages[english.replace("audio:", "{0}:")]
    assert (chinese.removeprefix("{0}") in said) is is_said


BADGE_JS = """async (text) => {
  const { app, LiteGraph } = window
  app.graph.clear()
  const node = LiteGraph.createNode('EverTalkSampler')
  app.graph.add(node)
  const { api } = window.comfyAPI.api
  const event = { node: String(node.id), prompt_id: 'p', windows: 2, window: 0, text }
  for (const kind of ['warning', 'failed'])
    api.dispatchEvent(new CustomEvent('evertalk', { detail: { kind, ...event } }))
  const strip = node.widgets.find((widget) => widget.name === 'evertalk_strip').element
  while (!strip.querySelector('.evertalk-badge')) await new Promise((resolve) => setTimeout(resolve, 20))
  const badge = strip.querySelector('.evertalk-badge')
  const failure = strip.querySelector('.evertalk-status')
  return { badge: badge.title, start: badge.textContent, failure: failure.title }
}"""
THIRD_VOICE = (
    "The weights know two speakers. Of the {0} voices, each window hears the two that speak most in it; "
    "this is extrapolation, and a face may miss words or take over another's."
)


@each_editor()
def test_badges_and_the_reason_of_a_failure_on_the_sampler_are_said_in_chinese(page: "Page") -> None:
    shown = page.evaluate(BADGE_JS, THIRD_VOICE.format(4))
    chinese = read_chinese().messages[THIRD_VOICE].format(4)
    assert (shown["badge"], shown["failure"]) == (chinese, chinese)
    start = shown["start"].removeprefix("\u26a0 ").removesuffix("\u2026")
    assert chinese.startswith(start), "the badge shows the beginning"
    assert 15 < len(start) < 30, "cut where the row ends, not at one of the few spaces that Chinese has"


CONVERT_JS = "() => window.app.extensionManager.command.execute('EverTalk.ConvertWanVideoWrapper')"
NOTE_JS = """() => {
  const note = window.app.graph.nodes.find((node) => node.type === 'Note')
  return { title: note.title, text: note.widgets[0].value }
}"""


@each_editor()
def test_converter_says_in_chinese_what_was_lost(page: "Page") -> None:
    graph = json.loads((WRAPPER_WORKFLOWS / "single.json").read_text(encoding="utf-8"))
    page.evaluate("(graph) => { window.app.loadGraphData(graph, true, true, null) }", graph)
    page.keyboard.press("Escape")
    page.evaluate(CONVERT_JS)
    note = page.evaluate(NOTE_JS)
    assert note["title"] == "\u8f6c\u6362\u4e3a EverTalk"
    lost = "the voice is not separated from music and noise; do that before"
    assert "[\u4e22\u5931] MelBandRoFormerSampler" in note["text"]
    assert read_chinese().messages[lost] in note["text"]
    assert lost not in note["text"]
    page.keyboard.press("Escape")


@each_editor()
def test_help_of_a_node_opens_in_chinese(page: "Page") -> None:
    page.evaluate("""() => {
      const { app, LiteGraph } = window
      app.graph.clear()
      const node = LiteGraph.createNode('EverTalkLook')
      app.graph.add(node)
      app.canvas.selectNode(node)
      app.canvas.centerOnNode(node)
    }""")
    page.locator("button:has(.icon-\\[lucide--info\\]), [data-testid=info-button]").first.click()
    heading = page.locator(".node-help-content h1")
    heading.wait_for()
    assert heading.inner_text() == read_chinese().names["EverTalk Look"]


@each_editor()
def test_missing_models_are_offered_with_links(page: "Page") -> None:
    workflow = json.loads((WORKFLOWS / "infinitetalk_image.json").read_text(encoding="utf-8"))
    page.evaluate("(graph) => { window.app.loadGraphData(graph, true, true, null) }", workflow)
    shown = read_missing_models(page)
    named = {link["name"] for node in workflow["nodes"] for link in node["properties"].get("models", [])}
    assert named
    assert [name for name in named if name not in shown] == []
