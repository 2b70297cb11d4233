"""What a person does meanwhile: undo, other tabs, deletion, subgraphs, a server that is started anew."""

import json
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer
from editor_page import SAMPLER_JS, Editor
from editors import LONG_SOUND, LONG_WINDOWS, NEWEST_NODES, OWN, SOUND, UNHURRIED, each_editor
from kill_runs import SMALL

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
TAB_JS = "window.app.extensionManager.workflow"

FIRST_TAB_JS = f"""async (path) => {{
  const tab = {TAB_JS}.openWorkflows.find((one) => one.path === path)
  await window.app.loadGraphData(tab.changeTracker.activeState, true, true, tab)
}}"""
REMOVE_JS = f"() => window.app.graph.remove({SAMPLER_JS})"
PASTE_JS = f"""() => {{
  const {{ canvas }} = window.app
  canvas.selectNodes([{SAMPLER_JS}])
  canvas.copyToClipboard()
  canvas.pasteFromClipboard()
}}"""
SUBGRAPH_JS = """(types) => {
  const { graph } = window.app
  graph.convertToSubgraph(new Set(graph.nodes.filter((node) => types.includes(node.type))))
}"""
MODE_JS = """([type, mode]) => {
  window.app.graph.nodes.find((node) => node.type === type).mode = mode
}"""
STEPS_JS = """() => window.app.graph.nodes.filter((node) => node.type === 'EverTalkSampler')
  .map((node) => node.widgets.find((widget) => widget.name === 'steps').label)"""
SCHEDULER_JS = """([index, value]) => {
  const node = window.app.graph.nodes.filter((one) => one.type === 'EverTalkSampler')[index]
  const widget = node.widgets.find((one) => one.name === 'scheduler')
  widget.value = value
}"""


def undo(editor: Editor) -> None:
    editor.page.evaluate("() => window.app.extensionManager.command.execute('Comfy.Undo')")


def note_change(editor: Editor) -> None:
    """The editor looks for changes to undo when a key is let go."""
    editor.page.evaluate(f"() => {TAB_JS}.activeWorkflow.changeTracker.checkState()")


def stop(editor: Editor) -> int:
    """Stop the run; how many windows it kept."""
    editor.press("Stop and keep")
    editor.wait_for_status("windows kept")
    return editor.strip().cells.count("done")


def test_run_is_shown_after_an_undo_another_tab_and_a_deletion(editor: Editor) -> None:
    draws = {"seed": 3, "control_after_generate": "randomize"}
    editor.load_demo(LONG_SOUND, filename_prefix="stays", **draws, **UNHURRIED)
    tab = editor.page.evaluate(f"() => {TAB_JS}.activeWorkflow.path")
    editor.queue()
    editor.wait_for_done(1)
    note_change(editor)
    editor.set(pause_after=4)
    note_change(editor)
    undo(editor)
    assert editor.widget("pause_after")["value"] == 0
    editor.wait_for_done(1)
    assert editor.strip().status.startswith("Window ")

    editor.load_demo(LONG_SOUND, filename_prefix="other", **UNHURRIED)  # the same workflow, with the same id
    editor.wait_for_estimate(f"{LONG_WINDOWS} windows")
    editor.page.wait_for_timeout(1000)
    assert editor.strip().cells == []

    editor.page.evaluate(FIRST_TAB_JS, tab)
    editor.wait_for_done(1)
    note_change(editor)
    editor.page.evaluate(REMOVE_JS)
    note_change(editor)
    editor.page.wait_for_timeout(1000)
    undo(editor)
    editor.wait_for_done(1)

    kept = stop(editor)
    assert 1 <= kept < LONG_WINDOWS
    editor.set(pause_after=4)
    note_change(editor)
    undo(editor)
    editor.wait_for_status(f"{kept} of {LONG_WINDOWS} windows kept")
    assert editor.strip().buttons == ["Go on"]
    assert editor.widget("seed")["value"] != 3, "the editor has drawn another one"
    editor.press("Go on")
    editor.wait_for_status("Window ")
    editor.wait_for_done(kept + 1)
    assert stop(editor) > kept, "the seed was remembered: it went on behind what was kept"


@each_editor(OWN, NEWEST_NODES)
def test_server_that_is_started_anew_leaves_a_run_to_go_on_with(editor: Editor, server: ComfyServer) -> None:
    draws = {"seed": 6, "control_after_generate": "fixed"}
    editor.load_demo(LONG_SOUND, filename_prefix="restarted", **draws, **UNHURRIED)
    editor.queue()
    editor.wait_for_done(1)
    server.kill()
    server.start()
    editor.wait_for_status(f"of {LONG_WINDOWS}; ")
    strip = editor.strip()
    kept = strip.cells.count("done")
    assert strip.status.startswith(f"Failed in window {kept + 1} ")
    assert strip.buttons == ["Go on"]
    tip = editor.page.locator(".evertalk-status").get_attribute("title") or ""
    assert tip.startswith("The server was restarted in the middle of this run")
    editor.press("Go on")
    editor.wait_for_status("Window ")
    stop(editor)
    assert "windows were finished" in server.log


def test_connection_that_comes_back_leaves_a_run_that_goes_on_as_it_is(editor: Editor) -> None:
    editor.load_demo(LONG_SOUND, filename_prefix="reconnected", **UNHURRIED)
    editor.queue()
    editor.wait_for_done(1)
    editor.page.evaluate("() => { window.comfyAPI.api.api.dispatchCustomEvent('reconnected') }")
    done = editor.strip().cells.count("done")
    editor.wait_for_done(done + 1)
    assert editor.strip().status.startswith("Window "), "it still runs"
    stop(editor)


def test_end_that_was_missed_while_the_connection_was_away_is_shown(editor: Editor) -> None:
    editor.load_demo(SOUND, filename_prefix="missed")
    editor.page.evaluate("""() => {
      const { api } = window.comfyAPI.api, hear = api.dispatchEvent
      let isDeaf = false
      api.dispatchEvent = function (event) {
        if (event.type !== 'evertalk') return hear.call(this, event)
        if (isDeaf) return true
        isDeaf = event.detail.kind === 'window'
        return hear.call(this, event)
      }
      window.hearAgain = () => { api.dispatchEvent = hear }
    }""")
    editor.queue()
    editor.wait_for_done(1)
    editor.wait_until_idle()
    assert editor.strip().cells.count("done") == 1
    assert "windows done" not in editor.strip().status
    editor.page.evaluate("() => { hearAgain(); comfyAPI.api.api.dispatchCustomEvent('reconnected') }")
    editor.wait_for_status("5 of 5 windows done")
    assert "filename=missed_00001_.mp4" in editor.strip().video


@each_editor(OWN, NEWEST_NODES)
def test_pasted_sampler_has_steps_and_a_run_of_its_own(editor: Editor) -> None:
    editor.load_demo(SOUND, filename_prefix="pasted", scheduler="infinitetalk")
    editor.warn("EverTalkSampler", "said of the first")
    editor.page.evaluate(PASTE_JS)
    editor.page.evaluate(SCHEDULER_JS, [1, "multitalk"])
    editor.wait(f"({STEPS_JS})()[1] === 'steps: 4 (fixed)'")
    assert editor.page.evaluate(STEPS_JS) == ["steps", "steps: 4 (fixed)"]
    editor.page.evaluate(SCHEDULER_JS, [0, "multitalk"])
    editor.page.evaluate(SCHEDULER_JS, [1, "simple"])
    editor.wait(f"({STEPS_JS})()[1] === 'steps'")
    assert editor.page.evaluate(STEPS_JS) == ["steps: 4 (fixed)", "steps"]
    assert editor.page.locator(".evertalk-badge").count() == 1


@each_editor(OWN, NEWEST_NODES)
@pytest.mark.parametrize(
    "inside", [("EverTalkSampler", "EverTalkAudioEmbeds"), ("LoadAudio", "EverTalkAudioEmbeds")]
)
def test_estimate_sees_through_a_subgraph(editor: Editor, inside: tuple[str, ...]) -> None:
    editor.load_demo(SOUND)
    editor.page.evaluate(SUBGRAPH_JS, inside)
    editor.page.wait_for_timeout(600)
    sampler_is_inside = "EverTalkSampler" in inside
    strip = "document.querySelector('.evertalk-estimate')"
    if sampler_is_inside:
        strip = """window.app.graph.nodes.find((node) => node.subgraph).subgraph.nodes
          .find((node) => node.type === 'EverTalkSampler').widgets
          .find((widget) => widget.name === 'evertalk_strip').element.querySelector('.evertalk-estimate')"""
    editor.wait(f"{strip}?.textContent.includes('2.3 s of audio -> 57 frames, 5 windows')")


@each_editor(OWN, NEWEST_NODES)
@pytest.mark.parametrize(
    ("mode", "told"),
    [(2, "Speech, which feeds it, is muted"), (4, "Speech, which feeds it, is bypassed and has")],
    ids=["muted", "bypassed"],
)
def test_speech_that_is_switched_off_is_named_and_not_counted(editor: Editor, mode: int, told: str) -> None:
    editor.load_demo(SOUND)
    editor.wait_for_estimate("57 frames")
    editor.page.evaluate(MODE_JS, ["LoadAudio", mode])
    editor.wait_for_estimate(told)
    assert "frames" not in editor.strip().estimate
    editor.page.evaluate(MODE_JS, ["LoadAudio", 0])
    editor.wait_for_estimate("57 frames")


@each_editor(OWN, NEWEST_NODES)
def test_clip_that_is_switched_off_leaves_the_size_to_the_picture(editor: Editor) -> None:
    workflow: dict[str, Any] = json.loads((ROOT / "workflows" / "infinitetalk_dub_video.json").read_text())
    source = next(node for node in workflow["nodes"] if node["type"] == "EverTalkVideoSource")
    source["mode"] = 2
    editor.load(workflow)
    editor.page.wait_for_timeout(1000)
    prompt = editor.page.evaluate("""async () => {
      const [{ gather }, { placesOfType }] = await Promise.all(
        ['estimate', 'graph'].map((name) => import(`/extensions/EverTalk/${name}.js`)))
      return gather(placesOfType('EverTalkSampler')[0])
    }""")
    (sampler,) = (node for node in prompt.values() if node["class_type"] == "EverTalkSampler")
    assert "source" not in sampler["inputs"]


@each_editor(OWN, NEWEST_NODES)
def test_load_speech_tells_its_length_and_its_speech_is_filmed(editor: Editor) -> None:
    workflow = json.loads((ROOT / "workflows" / "demo_tiny.json").read_text())
    speech = next(node for node in workflow["nodes"] if node["type"] == "LoadAudio")
    speech |= {"type": "EverTalkLoadSpeech", "widgets_values": [SOUND, None, None]}
    editor.load(workflow, filename_prefix="speech", **SMALL)
    editor.wait_for_estimate("2.3 s of audio -> 57 frames, 5 windows")
    editor.queue()
    editor.wait_for_status("5 of 5 windows done")


def test_warning_said_before_the_windows_are_planned_stays(editor: Editor) -> None:
    states = editor.page.evaluate("""async () => {
      const { RunState } = await import('/extensions/EverTalk/run_state.js')
      const run = new RunState(), seen = []
      const say = (event) => { run.apply({ windows: 2, window: 0, ...event }); seen.push([...run.warnings]) }
      say({ kind: 'warning', prompt_id: 'a', text: 'tight' })
      say({ kind: 'plan', prompt_id: 'a' })
      say({ kind: 'warning', prompt_id: 'a', text: 'tight' })
      say({ kind: 'plan', prompt_id: 'b' })
      return seen
    }""")
    assert states == [["tight"], ["tight"], ["tight"], []]
