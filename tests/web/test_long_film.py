"""The strip of a film of hours: thousands of windows are told in a few cells, and each can be chosen."""

import pytest
from editor_page import Editor
from editors import OWN, SOUND, each_editor

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

WINDOWS, DONE, EACH = 30_000, 20_050, 200
"""Of the film; those that are finished; how many a cell stands for."""

TELL_JS = """([windows, done]) => {
  const node = String(window.app.graph.nodes.find((one) => one.type === 'EverTalkSampler').id)
  const tell = (event) => window.app.api.dispatchEvent(
    new CustomEvent('evertalk', { detail: { node, prompt_id: 'hours', windows, text: '', ...event } })
  )
  window.touched = 0
  window.watching ??= new MutationObserver((changes) => { window.touched += changes.length })
  const all = { subtree: true, childList: true, attributes: true }
  window.watching.observe(document.querySelector('.evertalk-cells'), all)
  tell({ kind: 'plan', window: done, steps: 4, seed: 1 })
  for (let index = 0; index < done; index += 1)
    tell({ kind: 'window', window: index, start_s: index * 3, text: `number ${index + 1}`, path: null })
  tell({ kind: 'step', window: done, step: 2, steps: 4, seconds_left: 9 })
}"""
CELL_JS = """(index) => {
  const cell = document.querySelectorAll('.evertalk-cell')[index]
  return [cell.dataset.state, cell.title, cell.style.getPropertyValue('--evertalk-part'), cell.ariaPressed]
}"""
TOUCHES_A_CELL = 8
"""Attributes of a new cell, twice."""


def cell(editor: Editor, index: int) -> list[str]:
    return editor.page.evaluate(CELL_JS, index)


def press(editor: Editor, index: int) -> None:
    """Press a cell, which is too narrow for the mouse of a machine that is busy."""
    editor.page.locator(".evertalk-cell").nth(index).evaluate("(cell) => cell.click()")


@each_editor(OWN)
def test_a_film_of_hours_has_few_cells_and_each_of_its_windows_can_be_chosen(editor: Editor) -> None:
    editor.load_demo(SOUND, filename_prefix="web/hours")
    editor.page.evaluate(TELL_JS, [WINDOWS, DONE])
    editor.wait_for_status("step 2/4")
    cells = editor.strip().cells
    assert len(cells) == WINDOWS // EACH
    assert cells == ["done"] * 100 + ["running"] + ["queued"] * 49
    touched = editor.page.evaluate("window.touched")
    assert touched <= len(cells) * TOUCHES_A_CELL, "thousands of events touch what they change alone"
    assert cell(editor, 0) == ["done", "Windows 1 to 200: 200 done", "0%", "false"]
    assert cell(editor, 100)[1:3] == ["Windows 20001 to 20200: 50 done", "25%"]

    press(editor, 2)
    assert cell(editor, 2)[1] == "Windows 401 to 600: 200 done; Window 600: done, number 600"
    editor.page.keyboard.press("ArrowLeft")
    assert cell(editor, 2)[1].endswith("Window 599: done, number 599")
    for _ in range(2):
        editor.page.keyboard.press("ArrowRight")
    assert cell(editor, 2)[3] == "false"
    assert cell(editor, 3)[1].endswith("Window 601: done, number 601")
    press(editor, 100)
    editor.page.keyboard.press("ArrowRight")
    assert cell(editor, 100)[1].endswith("Window 20050: done, number 20050"), "the next is not finished"
