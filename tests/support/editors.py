"""The editors that web/ is tested in: the host's own frontend and the newest, and both drawings of nodes.

The host's own runs everything, with nodes drawn on the canvas. What may differ from frontend to frontend runs
in the newest too, on the canvas and with nodes that are elements of the page (`Comfy.VueNodes.Enabled`).
What 1.32.9 calls by that name is an early trial: it does not keep the sizes that a workflow is saved with.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
from comfy_server import ON_CPU, ComfyServer
from frontends import folder_of
from needed import refuse
from workers import EDITORS

OWN, NEWEST, NEWEST_NODES = EDITORS

SOUND = "speech_2.3.wav"
"""Of a run that is to end: 5 windows of 17 frames, which begin at frame 0, 12, 24, ..."""

LONG_SOUND, LONG_WINDOWS = "speech_60.wav", 125
"""Of a run that the test itself ends: it still goes on when a slow browser has looked."""

SOUNDS_S = (2.3, 60.0)
"""How long the two are."""

UNHURRIED = {"steps": 20}
"""With the long sound: at least half a minute of sampling."""


@dataclass(frozen=True)
class Drawing:
    """Which editor is opened, and how it draws nodes: the name is one of EDITORS."""

    name: str

    @property
    def is_newest(self) -> bool:
        return self.name != OWN

    @property
    def has_node_elements(self) -> bool:
        return self.name == NEWEST_NODES


def each_editor(*names: str) -> pytest.MarkDecorator:
    """Run a test in these editors instead of the host's own alone; without names, in all of them."""
    return pytest.mark.parametrize("drawing", names or EDITORS, indirect=True, scope="module")


def server_with_newest(comfyui: Path, base: Path) -> ComfyServer:
    """A server that shows the newest frontend; without one the test is skipped, and fails where CI is set."""
    folder = folder_of()
    if not folder.is_dir():
        refuse("the newest frontend is not there: make test, or scripts/frontends.py, gets it")
    return ComfyServer(comfyui, base, flags=(*ON_CPU, "--front-end-root", str(folder)))
