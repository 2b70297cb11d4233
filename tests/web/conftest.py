"""One browser with the editor for all tests of web/, on the server that all tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from comfy_server import ComfyServer
    from editor_page import Editor

MEDIA = Path(__file__).resolve().parents[2] / "demo" / "media"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SOUND_S = 2.3


@pytest.fixture(scope="module")
def editor(comfy_server: "ComfyServer", tiny_models: Path) -> "Iterator[Editor]":
    """The editor, open, with the demo's files in the server's input folder."""
    from browser import find_browser
    from editor_page import Editor
    from kill_runs import write_speech
    from playwright.sync_api import sync_playwright

    del tiny_models
    executable = find_browser()
    if executable is None:
        pytest.skip("there is no Chromium: scripts/browser.py, which make test calls, says why")
    for file in sorted(MEDIA.iterdir()):
        comfy_server.client.upload(file)
    write_speech(comfy_server, SOUND_S)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield Editor.open(browser, comfy_server.client)
        finally:
            browser.close()
