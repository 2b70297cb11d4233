"""One browser with the editor for all tests of web/, on the server that all tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from comfy_server import ComfyServer
    from editor_page import Editor

MEDIA = Path(__file__).resolve().parents[2] / "demo" / "media"
SOUND_S = 2.3


@pytest.fixture(scope="module")
def editor(comfy_server: "ComfyServer", tiny_models: Path) -> "Iterator[Editor]":
    """The editor, open, with the demo's files in the server's input folder."""
    from editor_page import Editor, open_browser
    from kill_runs import write_speech

    del tiny_models
    for file in sorted(MEDIA.iterdir()):
        comfy_server.client.upload(file)
    write_speech(comfy_server, SOUND_S)
    with open_browser() as browser:
        yield Editor.open(browser, comfy_server.client)
