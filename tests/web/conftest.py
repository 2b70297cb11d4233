"""One browser with the editor for the tests of each module, on servers that all tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from editors import OWN, Drawing, server_with_newest

if TYPE_CHECKING:
    from comfy_server import ComfyServer
    from editor_page import Editor

MEDIA = Path(__file__).resolve().parents[2] / "demo" / "media"
SOUND_S = 2.3


def put_media(server: "ComfyServer") -> None:
    """The demo's files, and a sound of noise, into the server's input folder."""
    from kill_runs import write_speech

    for file in sorted(MEDIA.iterdir()):
        server.client.upload(file)
    write_speech(server, SOUND_S)


@pytest.fixture(scope="session")
def newest_server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[ComfyServer]":
    """A server with the newest frontend, the tiny models and the demo's files."""
    from kill_runs import prepare

    with server_with_newest(comfyui, tmp_path_factory.mktemp("newest")) as server:
        prepare(server)
        put_media(server)
        yield server


@pytest.fixture(scope="session")
def own_server(comfy_server: "ComfyServer", tiny_models: Path) -> "ComfyServer":
    """The server that all tests share, with the tiny models and the demo's files."""
    del tiny_models
    put_media(comfy_server)
    return comfy_server


@pytest.fixture(scope="module")
def drawing(request: pytest.FixtureRequest) -> Drawing:
    """Which editor the tests run in."""
    return Drawing(getattr(request, "param", OWN))


@pytest.fixture(scope="module")
def server(drawing: Drawing, request: pytest.FixtureRequest) -> "ComfyServer":
    """The server that the editor is of."""
    return request.getfixturevalue("newest_server" if drawing.is_newest else "own_server")


@pytest.fixture(scope="module")
def editor(drawing: Drawing, server: "ComfyServer") -> "Iterator[Editor]":
    """The editor, open, with the demo's files in the server's input folder."""
    from editor_page import Editor, open_browser

    with open_browser() as browser:
        yield Editor.open(
            browser,
            server.client,
            has_node_elements=drawing.has_node_elements,
            takes_shots=not drawing.is_newest,
        )
