"""Whatever a client queues: an answer in time, a sentence, and a server that goes on working."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfy_server import ComfyServer
from hostile_prompts import CLIP, SOUND, Prompts
from hostile_session import OUR_ERRORS, Session
from kill_runs import ROOT, prepare
from server_run import write_wav
from tiny_speech import speech_like

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc"),
]

SEED = 14
COUNT = int(os.environ.get("EVERTALK_HOSTILE_PROMPTS", "300"))
FIRST = int(os.environ.get("EVERTALK_HOSTILE_FIRST", "0"))
SAMPLES = 6_400
LOG = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def session(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A server of its own: it may not survive."""
    with ComfyServer(comfyui, tmp_path_factory.mktemp("hostile")) as server:
        prepare(server)
        folder = server.base / "input"
        write_wav(folder / SOUND, speech_like(SAMPLES)[None])
        (folder / CLIP).write_bytes((ROOT / "demo" / "media" / "clip.mp4").read_bytes())
        yield Session(server, Prompts(server.client.object_info(), SEED))


def test_prompts_without_a_fault_run(session: Session) -> None:
    from hostile_prompts import Case

    for kind in sorted({kind for kind, _ in session.prompts.places} - {"EverTalkApply", "EverTalkStepCache"}):
        before = session.counts["success"]
        case = Case("good", kind, session.prompts.good(kind), must_fail="nothing is wrong: let it end")
        found = session.send(case)
        assert session.counts["success"] == before + 1, (kind, found, session.last)
    session.counts.clear()


def test_hostile_prompts_are_refused_with_a_sentence(session: Session) -> None:
    assert "InputError" in OUR_ERRORS
    began = time.monotonic()
    session.run(FIRST, COUNT)
    LOG.info(
        "%d prompts in %.0f s: %s; slowest answer %.2f s, peak %.2f GB, %d finds",
        COUNT,
        time.monotonic() - began,
        dict(session.counts),
        session.slowest_s,
        session.peak_bytes / 1e9,
        len(session.finds),
    )
    assert not session.finds, "\n".join(session.finds)
