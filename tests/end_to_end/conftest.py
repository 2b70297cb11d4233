"""The demo's graph in the shared server, small and short, for each test to change."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from server_run import Stage

if TYPE_CHECKING:
    from comfy_server import ComfyServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stage(comfy_server: "ComfyServer", tiny_models: Path, tmp_path: Path) -> Stage:
    """The server with models, picture and a way to make speech."""
    del tiny_models
    comfy_server.client.upload(ROOT / "demo" / "media" / "portrait.jpg")
    return Stage(comfy_server, tmp_path)
