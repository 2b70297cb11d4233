"""The sampler in the real editor: what it shows before, during and after a run, and what its buttons do."""

import json
import time
from pathlib import Path

import pytest
from comfy_server import ComfyServer
from editor_page import POLL_MS, SAMPLER_JS, WAIT_MS, WIDGET_JS, Editor
from editors import (
    NEWEST,
    NEWEST_NODES,
    OWN,
    SOUND,
    Drawing,
    each_editor,
)
from kill_runs import run_folders, sampled_windows
from tiny_folder import write_flashtalk

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "workflows").glob("*.json"))


def wait_until_sampled(server: ComfyServer, before: int, windows: list[int]) -> None:
    """Wait until the log tells that these windows were begun; the strip may tell of a short run too late."""
    deadline = time.monotonic() + WAIT_MS / 1000
    while sampled_windows(server.log[before:]) != windows:
        assert time.monotonic() < deadline, server.log[before:]
        time.sleep(POLL_MS / 1000)


@each_editor()
def test_template_browser_offers_our_templates_and_opens_one(editor: Editor) -> None:
    editor.clear()
    editor.open_template("demo_tiny")
    editor.wait_for_estimate("160x160")
    nodes = json.loads((ROOT / "workflows" / "demo_tiny.json").read_text())["nodes"]
    assert editor.node_types() == sorted(node["type"] for node in nodes)


@each_editor()
@pytest.mark.parametrize("file", TEMPLATES, ids=[file.stem for file in TEMPLATES])
def test_template_opens_without_a_missing_node_and_without_an_error(editor: Editor, file: Path) -> None:
    editor.errors.clear()
    editor.clear()
    editor.load(editor.client.template(file.stem))
    editor.wait("document.querySelector('.evertalk-estimate')?.textContent")
    assert editor.missing_nodes() == []
    assert editor.errors == []
    assert not editor.strip().is_problem


@each_editor()
def test_every_node_can_be_put_into_a_graph(editor: Editor) -> None:
    """Also those that no template holds."""
    editor.errors.clear()
    editor.clear()
    made = editor.page.evaluate("""() => {
      const types = Object.keys(LiteGraph.registered_node_types).filter((type) => type.startsWith('EverTalk'))
      const nodes = types.map((type) => LiteGraph.createNode(type))
      nodes.forEach((node) => node && app.graph.add(node))
      return Object.fromEntries(types.map((type, index) => [type, nodes[index] !== null]))
    }""")
    ours = {name for name in editor.client.object_info() if name.startswith("EverTalk")}
    assert made == dict.fromkeys(ours, True)
    assert editor.errors == []
    editor.clear()


@each_editor()
def test_multitalk_greys_out_the_steps_and_another_scheduler_gives_them_back(editor: Editor) -> None:
    editor.load_demo(SOUND, scheduler="infinitetalk", steps=7)
    assert editor.widget("steps") == {"value": 7, "label": "steps", "disabled": False}
    editor.set(scheduler="multitalk")
    assert editor.widget("steps") == {"value": 7, "label": "steps: 4 (fixed)", "disabled": True}
    editor.shoot("fixed_steps")
    saved = editor.page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")
    editor.load(saved)
    assert editor.widget("steps") == {"value": 7, "label": "steps: 4 (fixed)", "disabled": True}
    editor.set(scheduler="simple")
    assert editor.widget("steps") == {"value": 7, "label": "steps", "disabled": False}


@each_editor()
def test_flashtalk_greys_out_what_its_weights_decide_and_sets_its_windows(editor: Editor) -> None:
    editor.load_demo(SOUND, scheduler="simple", steps=7, shift=11, text_scale=3, window_frames=81)
    editor.set(scheduler="flashtalk_2")
    fixed = {
        "steps": (7, "steps: 2 (fixed)"),
        "shift": (11, "shift: 5 (fixed)"),
        "sampler_name": ("euler", "sampler_name: lcm (fixed)"),
        "text_scale": (3, "text_scale: 1 (fixed)"),
    }
    for name, (value, label) in fixed.items():
        assert editor.widget(name) == {"value": value, "label": label, "disabled": True}
    assert editor.widget("window_frames") == {"value": 33, "label": "window_frames", "disabled": False}
    assert editor.widget("motion_frames")["value"] == 5
    editor.wait_for_estimate("scheduler: flashtalk_2 belongs to FlashTalk's weights, but evertalk_tiny")
    editor.set(window_frames=17)
    editor.load(editor.page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))"))
    assert editor.widget("window_frames")["value"] == 17, "what a workflow holds is not replaced"
    assert editor.widget("shift")["label"] == "shift: 5 (fixed)"
    editor.set(scheduler="multitalk")
    assert editor.widget("shift") == {"value": 11, "label": "shift", "disabled": False}
    assert editor.widget("steps")["label"] == "steps: 4 (fixed)"


@each_editor()
def test_a_model_that_is_chosen_brings_its_settings_and_an_opened_workflow_keeps_its_own(
    editor: Editor, server: ComfyServer
) -> None:
    write_flashtalk(server.models, "web-flashtalk-14B")
    editor.load_demo(SOUND, scheduler="simple", window_frames=81)
    editor.wait_for_estimate("2.3 s of audio -> 57 frames, 1 window, 64x64")
    choose = """(names) => {
      const loader = window.app.graph.nodes.find((one) => one.type === 'EverTalkModelLoader')
      for (const [name, value] of Object.entries(names)) {
        const widget = loader.widgets.find((one) => one.name === name)
        widget.value = value
        widget.callback?.(value)
      }
    }"""
    whole = {"base_model": "web-flashtalk-14B", "talk_model": "in the base model", "mode": "auto"}
    editor.page.evaluate(choose, whole)
    editor.wait_for_estimate("2.3 s of audio -> 57 frames, 3 windows, 448x768")
    assert editor.widget("scheduler")["value"] == "flashtalk"
    assert editor.widget("window_frames")["value"] == 33
    editor.set(scheduler="simple")
    editor.wait_for_estimate("scheduler: simple, but web-flashtalk-14B is loaded with mode flashtalk")
    saved = editor.page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")
    editor.clear()
    editor.load(saved)
    editor.wait_for_estimate("scheduler: simple, but web-flashtalk-14B is loaded with mode flashtalk")
    assert editor.widget("scheduler")["value"] == "simple"


@each_editor()
def test_strip_says_what_the_run_will_be_and_follows_the_widgets(editor: Editor) -> None:
    editor.load_demo(SOUND)
    editor.wait_for_estimate("2.3 s of audio -> 57 frames, 5 windows, 64x64")
    editor.set(size="480p", window_frames=81)
    editor.wait_for_estimate("2.3 s of audio -> 57 frames, 1 window, 640x640")
    editor.shoot("before")
    editor.set(window_frames=5)
    editor.wait_for_estimate("window_frames: 5 frames, expected 9 to 81")
    assert editor.strip().is_problem


PRIMITIVE_JS = """(type) => {
  const { graph } = window.app
  const node = LiteGraph.createNode(type), sampler = SAMPLER
  graph.add(node)
  node.connect(0, sampler, sampler.inputs.findIndex((input) => input.name === 'seed'))
  node.widgets[0].value = 11
  node.widgets.find((widget) => widget.name === 'control_after_generate').value = 'randomize'
}""".replace("SAMPLER", SAMPLER_JS)
CONTROL_JS = "(mode) => window.app.extensionManager.setting.set('Comfy.WidgetControlMode', mode)"


@pytest.mark.parametrize(
    ("drawing", "mode"),
    [(OWN, "before"), (OWN, "after"), (NEWEST, "before"), (NEWEST_NODES, "after")],
    indirect=["drawing"],
    scope="module",
)
@pytest.mark.parametrize("source", ["widget", "PrimitiveNode", "PrimitiveInt"])
def test_go_on_and_reroll_are_of_the_same_run_however_its_seed_is_drawn(
    editor: Editor, server: ComfyServer, drawing: Drawing, mode: str, source: str
) -> None:
    prefix = f"{drawing.name}/{source}_{mode}"
    control = {"control_after_generate": "randomize"}
    editor.load_demo(SOUND, filename_prefix=prefix, pause_after=2, seed=11, **control)
    editor.page.evaluate(CONTROL_JS, mode)
    try:
        if source != "widget":
            editor.page.evaluate(PRIMITIVE_JS, source)
        editor.queue()
        editor.wait_for_status("2 of 5 windows kept")
        before = len(server.log)
        editor.press("Go on")
        editor.wait_for_status("4 of 5 windows kept")
        assert sampled_windows(server.log[before:]) == [2, 3]
        assert len(run_folders(server, prefix)) == 1
        before = len(server.log)
        editor.choose_window(4)
        editor.press("Re-roll window 4")
        wait_until_sampled(server, before, [3])
        editor.wait_until_idle()
        editor.wait_for_status("4 of 5 windows kept")
        assert sampled_windows(server.log[before:]) == [3]
    finally:
        editor.page.evaluate(CONTROL_JS, "after")


@each_editor()
def test_window_is_made_again_with_another_seed_and_those_before_it_are_kept(
    editor: Editor, server: ComfyServer, drawing: Drawing
) -> None:
    editor.load_demo(SOUND, filename_prefix=f"{drawing.name}/again", pause_after=3, seed=5)
    editor.queue()
    editor.wait_for_status("3 of 5 windows kept")
    editor.choose_window(3)
    assert editor.strip().buttons == ["Go on", "Re-roll window 3"]
    assert "filename=w000002.mp4" in editor.strip().video
    editor.shoot("chosen")
    before = len(server.log)
    editor.press("Re-roll window 3")
    wait_until_sampled(server, before, [2])
    editor.wait_until_idle()
    editor.wait_for_status("3 of 5 windows kept")
    assert sampled_windows(server.log[before:]) == [2]
    number, _, seed = editor.widget("window_seeds")["value"].partition(": ")
    assert number == "3"
    assert int(seed) != 5


@each_editor()
def test_warnings_stay_on_the_node_with_the_whole_sentence_as_tooltip(
    editor: Editor, drawing: Drawing
) -> None:
    editor.load_demo(SOUND, filename_prefix=f"{drawing.name}/warned", width=70, motion_frames=6)
    editor.queue()
    editor.wait_for_status("5 of 5 windows done")
    badges = editor.strip().badges
    assert "width 70 became 64: sides are multiples of 16" in badges
    assert "motion_frames 6 became 5: frames come as 4n+1" in badges
    editor.shoot("warnings")


@each_editor()
def test_other_nodes_get_their_badges_below_their_widgets(editor: Editor) -> None:
    editor.load(json.loads((ROOT / "workflows" / "infinitetalk_two_people.json").read_text()))
    sentence = "Speaker B has no voice and stays silent."
    editor.warn("EverTalkSpeakers", sentence)
    editor.warn("EverTalkSpeakers", sentence)
    editor.show("EverTalkSpeakers")
    badges = editor.page.locator(".evertalk-badge")
    badges.wait_for()
    assert badges.count() == 1, "the same sentence once"
    assert badges.get_attribute("title") == sentence


def test_page_opened_during_a_run_learns_of_it_from_the_next_step(editor: Editor) -> None:
    state = editor.page.evaluate(
        """async () => {
          const { RunState } = await import('/extensions/EverTalk/run_state.js')
          const state = new RunState()
          const where = { prompt_id: 'p', windows: 4, window: 2, step: 1, steps: 4, seconds_left: 9, seed: 7 }
          state.apply({ kind: 'step', ...where })
          return [state.phase, state.seed, state.windows.map((window) => window.state)]
        }"""
    )
    assert state == ["running", 7, ["done", "done", "running", "queued"]]


@each_editor()
def test_linked_steps_are_not_called_fixed(editor: Editor) -> None:
    editor.load_demo(SOUND, scheduler="multitalk")
    assert editor.widget("steps")["label"] == "steps: 4 (fixed)"
    editor.page.evaluate(PRIMITIVE_JS.replace("'seed'", "'steps'"), "PrimitiveInt")
    editor.wait(f"({WIDGET_JS})('steps').label === 'steps'")


@each_editor()
@pytest.mark.parametrize("source", ["PrimitiveNode", "PrimitiveInt"])
def test_estimate_reads_what_a_primitive_brings(editor: Editor, source: str) -> None:
    editor.load_demo(SOUND, width=128)
    editor.wait_for_estimate("5 windows, 128x64")
    js = PRIMITIVE_JS.replace("'seed'", "'window_frames'").replace("value = 11", "value = 81")
    editor.page.evaluate(js, source)
    editor.wait_for_estimate("1 window, 128x64")


@each_editor()
def test_texts_are_the_same_in_both_languages_and_follow_the_editor(editor: Editor) -> None:
    keys = editor.page.evaluate(
        """async () => {
          const { TEXTS } = await import('/extensions/EverTalk/texts.js')
          const places = (text) => [...new Set(text.match(/\\{\\w+\\}/g))].sort().join()
          const described = (texts) => Object.entries(texts).map(([key, text]) =>
            typeof text === 'object' ? [key, Object.keys(text)] : [key, places(text)])
          return [described(TEXTS.en), described(TEXTS.zh)]
        }"""
    )
    assert keys[0] == keys[1]
    editor.load_demo(SOUND, scheduler="multitalk")
    editor.page.evaluate("() => window.app.extensionManager.setting.set('Comfy.Locale', 'zh')")
    try:
        editor.wait_for_estimate("2.3 \u79d2\u97f3\u9891 -> 57 \u5e27")
        editor.wait(f"({WIDGET_JS})('steps').label.includes('\u56fa\u5b9a')")
    finally:
        editor.page.evaluate("() => window.app.extensionManager.setting.set('Comfy.Locale', 'en')")


@each_editor()
def test_session_logged_no_error_of_its_own(editor: Editor) -> None:
    time.sleep(1)
    assert [line for line in editor.errors if "/interrupt" not in line] == []
