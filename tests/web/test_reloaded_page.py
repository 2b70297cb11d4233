"""A page that is reloaded in the middle of a run, its workflow opened from its file again."""

import json
from pathlib import Path

import pytest
from comfy_server import ComfyServer
from editor_page import IS_OPEN, Editor
from editors import LONG_SOUND, LONG_WINDOWS, NEWEST_NODES, OWN, each_editor

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]


def reload(editor: Editor) -> None:
    editor.page.reload()
    editor.wait(IS_OPEN)


def open_file(editor: Editor, file: Path) -> None:
    """As by the editor's menu: the file's text is read and becomes the graph."""
    editor.page.evaluate(
        "(text) => window.app.handleFile(new File([text], 'saved.json', { type: 'application/json' }))",
        file.read_text(),
    )
    editor.wait("window.app.graph.nodes.some((node) => node.type === 'EverTalkSampler')")
    editor.show()


@each_editor(OWN, NEWEST_NODES)
def test_reloaded_page_shows_its_run_again_and_can_stop_it(
    editor: Editor, server: ComfyServer, tmp_path: Path
) -> None:
    editor.load_demo(LONG_SOUND, filename_prefix="reloaded", steps=40, seed=7)  # the page loads twice
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(editor.page.evaluate("() => window.app.graph.serialize()")))
    editor.queue()
    editor.wait_for_done(2)
    reload(editor)
    open_file(editor, file)
    editor.wait_for_status("Window ")
    strip = editor.strip()
    assert len(strip.cells) == LONG_WINDOWS
    assert strip.cells.count("done") >= 2, "windows that were finished before the page was there are known"
    done = strip.cells.count("done")
    editor.wait_for_done(done + 1)
    reload(editor)
    open_file(editor, file)
    editor.wait_for_status("Window ")
    editor.press("Stop and keep")
    editor.wait_for_status(f"of {LONG_WINDOWS} windows kept")
    assert editor.strip().buttons == ["Go on"]
    before = len(server.log)
    editor.press("Go on")
    editor.wait_for_status("Window ")
    editor.press("Stop and keep")
    editor.wait_for_status("windows kept")
    assert "windows were finished" in server.log[before:], "it went on behind what was kept"
