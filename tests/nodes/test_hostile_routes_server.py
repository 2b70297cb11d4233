"""Whatever a stranger sends to the pack's routes: an answer in time, a sentence, a server that lives."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfy_server import ComfyServer
from convert_server import MEDIA, WORKFLOWS
from hostile_calls import CallSession
from hostile_routes import ROUTES, Calls

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc"),
]

SEED = 23
COUNT = int(os.environ.get("EVERTALK_HOSTILE_ROUTES", "100"))
FIRST = int(os.environ.get("EVERTALK_HOSTILE_FIRST", "0"))
LOG = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def session(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallSession]:
    """A server of its own: it may not survive."""
    with ComfyServer(comfyui, tmp_path_factory.mktemp("called")) as server:
        folder = server.base / "input"
        for file in MEDIA.iterdir():
            if file.suffix != ".md":
                (folder / file.name).write_bytes(file.read_bytes())
        for name in ("hostile.png", "hostile.wav", "torn.mp4"):
            (folder / name).write_bytes(b"no such thing")
        workflows = [json.loads(file.read_bytes()) for file in sorted(WORKFLOWS.glob("*.json"))]
        yield CallSession(server, Calls(SEED, workflows))


def test_calls_without_a_fault_are_answered(session: CallSession) -> None:
    session.check_alive()
    assert not session.finds, "\n".join(session.finds)


def test_hostile_calls_are_refused_with_a_sentence(session: CallSession) -> None:
    began = time.monotonic()
    session.run(FIRST, COUNT)
    LOG.info(
        "%d calls in %.0f s: %s; slowest answer %.2f s (%s), %.2f GB at most for a refusal, %d finds",
        COUNT,
        time.monotonic() - began,
        dict(session.counts),
        session.slowest_s,
        session.slowest,
        session.growth_bytes / 1e9,
        len(session.finds),
    )
    answered = {name.split(" ")[0] for name in session.counts}
    assert answered == {*ROUTES, "host"}
    assert not session.finds, "\n".join(session.finds)
