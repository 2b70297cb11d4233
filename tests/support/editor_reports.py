"""What the editor shows of a run that is refused or that fails, and of files that are not there.

Frontend 1.32.9 shows them in a dialog. A later one puts a note on top of the canvas, whose button opens a
list beside it; the node's own words stand in the list, behind a button of each line.
"""

from playwright.sync_api import Page

DIALOG = "[role=dialog]"
NOTE = "[data-testid=error-overlay]"
OPEN_LIST = "[data-testid=error-overlay-see-errors]"
LIST = "[data-testid=properties-panel]"
CLOSE_LIST = f"{LIST} button[aria-pressed=true]"
REFUSED_OR_FAILED = "[data-testid=error-group-execution]"
MISSING_MODELS = "[data-testid=error-group-missing-model]"
UNFOLD = "button[aria-controls][aria-expanded=false]"
TRACEBACK_LINE = 'File "'
REPORT = "ComfyUI Error Report"
"""How a failed run's report begins. It takes the traceback's place when the server has sent its log."""


def read_report(page: Page) -> str:
    """All that is told of the run that was just refused or has failed; put away again."""
    return _read(page, REFUSED_OR_FAILED)


def read_missing_models(page: Page) -> str:
    """All that is told of the model files that the workflow just opened needs; put away again."""
    return _read(page, MISSING_MODELS)


def _read(page: Page, group: str) -> str:
    page.locator(f"{DIALOG}, {OPEN_LIST}").first.wait_for()
    if page.locator(OPEN_LIST).count():
        return _read_list(page, group)
    dialog = page.locator(DIALOG)
    text = dialog.inner_text()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    return text


def _read_list(page: Page, group: str) -> str:
    page.locator(OPEN_LIST).click()
    told = page.locator(group)
    told.wait_for()
    while told.locator(UNFOLD).count():
        told.locator(UNFOLD).first.click()
    if told.get_by_text(TRACEBACK_LINE).count():
        told.get_by_text(REPORT).first.wait_for()
    text = told.inner_text()
    page.locator(CLOSE_LIST).click()
    page.locator(LIST).wait_for(state="detached")
    return text
