"""The demo's graph in the shared server, small and short, for each test to change."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from server_run import Stage
from settle import settle

if TYPE_CHECKING:
    from comfy_server import ComfyServer


@pytest.fixture
def stage(speaking_server: "ComfyServer", tmp_path: Path) -> Stage:
    """The server at rest, with models, picture and a way to make speech."""
    settle(speaking_server.client)
    return Stage(speaking_server, tmp_path)
