"""The way of a newcomer in the newest editor: find the template, look at it, run it, watch the video."""

import json
from pathlib import Path

import pytest
from editor_page import SHOTS, Editor
from editor_reports import DIALOG
from editors import NEWEST, NEWEST_NODES, SOUND, Drawing, each_editor
from kill_runs import SMALL
from PIL import Image

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

TEMPLATE = "demo_tiny"
PAGE_COLOURS = 128
BROWSER = (60, 125, 1220, 1175)
GRAPH = (375, 310, 1135, 990)
"""Where the page shows the template browser, and the fitted nodes: left, top, right, lower."""

HAS_ELEMENTS_JS = "() => window.app.extensionManager.setting.get('Comfy.VueNodes.Enabled')"
FIT_JS = """() => {
  window.app.extensionManager.command.execute('Comfy.Canvas.FitView')
  window.app.canvas.setDirty(true, true)
}"""


def shoot_page(editor: Editor, name: str, part: tuple[int, int, int, int] | None = None) -> None:
    """A picture of the page, or of a part of it, where pictures are wanted; of nodes that are elements."""
    if SHOTS is None or not editor.page.evaluate(HAS_ELEMENTS_JS):
        return
    editor.page.wait_for_timeout(1500)  # until nodes, thumbnails and the video are drawn
    path = Path(SHOTS) / f"first_{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    editor.page.screenshot(path=path)
    Image.open(path).convert("RGB").crop(part).quantize(PAGE_COLOURS).save(path, optimize=True)


APP_JS = """() => {
  const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s
  const store = stores.get('appMode')
  return [store.selectedInputs.map(([, name]) => name), store.selectedOutputs.map(String)]
}"""
ENTER_APP_JS = "() => window.app.extensionManager.command.execute('Comfy.ToggleLinear')"
TEMPLATES = sorted((Path(__file__).resolve().parents[2] / "workflows").glob("*.json"))


@each_editor(NEWEST_NODES)
@pytest.mark.parametrize("file", TEMPLATES, ids=[file.stem for file in TEMPLATES])
def test_app_mode_of_a_template_has_its_fields_and_its_result(editor: Editor, file: Path) -> None:
    workflow = json.loads(file.read_text(encoding="utf-8"))
    editor.clear()
    editor.load(workflow)
    wanted = workflow["extra"]["linearData"]
    assert len(wanted["inputs"]) >= 5
    shown = editor.page.evaluate(APP_JS)
    assert shown == [[name for _, name in wanted["inputs"]], [str(number) for number in wanted["outputs"]]]


@each_editor(NEWEST, NEWEST_NODES)
def test_newcomer_finds_a_template_runs_it_and_sees_the_video(editor: Editor, drawing: Drawing) -> None:
    name = "nodes" if drawing.has_node_elements else "canvas"
    editor.clear()
    editor.page.evaluate("() => { window.app.extensionManager.command.execute('Comfy.BrowseTemplates') }")
    editor.page.get_by_text("EverTalk", exact=True).click()
    offered = editor.page.locator(DIALOG).get_by_text(TEMPLATE, exact=True)
    offered.wait_for()
    shoot_page(editor, "1_templates", BROWSER)
    offered.click()
    editor.page.locator(DIALOG).wait_for(state="detached")
    editor.wait_for_estimate("160x160")
    editor.page.evaluate(FIT_JS)
    shoot_page(editor, "2_opened", GRAPH)
    editor.choose_sound(SOUND)
    editor.set(**SMALL | {"width": 96, "height": 96, "filename_prefix": f"first/{name}"})
    editor.wait_for_estimate("57 frames, 5 windows, 96x96")
    editor.queue()
    editor.wait_for_status("5 of 5 windows done")
    editor.wait("document.querySelector('.evertalk-chart svg')")
    assert f"filename={name}_00001_.mp4" in editor.strip().video
    editor.wait("document.querySelector('.evertalk-video').duration > 2.2")
    shoot_page(editor, "3_done", GRAPH)
    if SHOTS:
        editor.page.evaluate(ENTER_APP_JS)
        editor.page.wait_for_timeout(1500)
        editor.page.keyboard.press("Escape")  # the host's tour, the first time
        shoot_page(editor, "4_app")
