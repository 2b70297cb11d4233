"""The editor in a browser, and its servers, which all files here share."""

from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from editors import OWN, SOUNDS_S, Drawing, server_with_newest

if TYPE_CHECKING:
    from comfy_server import ComfyServer
    from editor_page import Editor
    from playwright.sync_api import Browser
    from shared_browser import SharedBrowser

HERE = Path(__file__).resolve().parent
MEDIA = HERE.parents[1] / "demo" / "media"


def put_media(server: "ComfyServer") -> None:
    """The demo's files, and two sounds of noise, into the server's input folder."""
    from kill_runs import write_speech

    for file in sorted(MEDIA.iterdir()):
        server.client.upload(file)
    for seconds in SOUNDS_S:
        write_speech(server, seconds)


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


@cache
def shared_browser() -> "SharedBrowser":
    """Playwright is imported when a test here runs, not when the suite is collected."""
    from shared_browser import SharedBrowser

    return SharedBrowser()


@pytest.fixture(scope="module")
def browser() -> "Browser":
    """The browser, for a page of a test's own."""
    return shared_browser().browser()


@pytest.fixture(scope="module")
def editor(drawing: Drawing, server: "ComfyServer") -> "Editor":
    """The editor, open and empty, with the demo's files in the server's input folder."""
    return shared_browser().editor(server.client, drawing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None]:
    """Close the browser behind the last test here."""
    try:
        return (yield)
    finally:
        if nextitem is None or not nextitem.path.is_relative_to(HERE):
            shared_browser().close()
