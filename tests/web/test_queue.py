"""The sampler among other entries of the queue, and under the mouse, in the real editor."""

import pytest
from comfy_server import ComfyServer
from editor_page import NODE_AT, Editor
from editors import LONG_SOUND, NEWEST_NODES, OWN, SOUND, UNHURRIED, Drawing, each_editor
from kill_runs import run_folders

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

MENU = ".litecontextmenu, [role=menu]"
STRIPS_JS = """() => window.app.graph.nodes.filter((node) => node.type === 'EverTalkSampler')
  .map((node) => node.widgets.filter((widget) => widget.name === 'evertalk_strip').length)"""


def test_stop_ends_its_own_run_and_the_next_in_the_queue_is_made_whole(
    editor: Editor, server: ComfyServer, drawing: Drawing
) -> None:
    first, second = f"{drawing.name}/first", f"{drawing.name}/second"
    draws = {"seed": 1, "control_after_generate": "fixed"}
    editor.load_demo(LONG_SOUND, filename_prefix=first, **draws, **UNHURRIED)
    editor.queue()
    editor.wait_for_done(1)
    editor.choose_sound(SOUND)
    editor.set(filename_prefix=second, steps=2)
    editor.queue()
    editor.press("Stop and keep")
    editor.wait_for_status("5 of 5 windows done")
    assert not list(server.output.glob(f"{first}_0*.mp4")), "the first was stopped"
    assert len(list(server.output.glob(f"{first}_r*_incomplete.mp4"))) == 1, "and what it had is kept"
    assert len(list(server.output.glob(f"{second}_0*.mp4"))) == 1


@each_editor(OWN, NEWEST_NODES)
def test_go_on_is_of_the_run_whose_folder_is_there(
    editor: Editor, server: ComfyServer, drawing: Drawing
) -> None:
    prefix = f"{drawing.name}/which"
    draws = {"seed": 21, "control_after_generate": "randomize"}
    editor.load_demo(SOUND, filename_prefix=prefix, pause_after=1, **draws)
    editor.queue()
    editor.wait_for_status("1 of 5 windows kept")
    (folder,) = run_folders(server, prefix)
    for kept in (2, 3):
        editor.press("Go on")
        editor.wait_for_status(f"{kept} of 5 windows kept")
    assert run_folders(server, prefix) == [folder]
    assert len(list(folder.glob("w*.mp4"))) == 3


@each_editor()
def test_pause_of_a_run_that_has_ended_does_not_pause_the_one_behind_it(
    editor: Editor, drawing: Drawing
) -> None:
    editor.load_demo(LONG_SOUND, filename_prefix=f"{drawing.name}/behind", **UNHURRIED)
    editor.queue()
    editor.wait_for_status("Window ")
    paused = editor.page.evaluate("""async () => {
      const { pauseRun } = await import('/extensions/EverTalk/actions.js')
      return pauseRun('another run')
    }""")
    assert not paused
    editor.page.wait_for_timeout(500)
    assert editor.strip().buttons == ["Pause", "Stop and keep"]
    editor.errors = [line for line in editor.errors if "/evertalk/pause" not in line]
    editor.press("Stop and keep")
    editor.wait_for_status("windows kept")


@each_editor()
def test_right_click_by_mouse_opens_the_hosts_menu_and_a_copy_has_a_strip_of_its_own(editor: Editor) -> None:
    editor.load_demo(SOUND)
    editor.show()
    editor.page.wait_for_timeout(500)
    editor.errors.clear()
    editor.page.mouse.click(NODE_AT[0] + 120, NODE_AT[1] - 15, button="right")
    menu = editor.page.locator(MENU).first
    menu.wait_for()
    assert "Bypass" in menu.inner_text()
    # "Clone" of the newest frontend's own menu throws by itself; "Duplicate" is not in the older ones.
    copies = menu.get_by_text("Duplicate", exact=True)
    (copies if copies.count() else menu.get_by_text("Clone", exact=True)).click()
    editor.wait(f"({STRIPS_JS})().length === 2")
    assert editor.page.evaluate(STRIPS_JS) == [1, 1]
    editor.page.keyboard.press("Escape")
    assert editor.errors == []
