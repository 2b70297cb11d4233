"""Whatever file a stranger gives: what is in it, or a sentence, in time and in bounded memory."""

import logging
import os
import sys
import time
from pathlib import Path

import pytest
from evertalk_pack.multitalk.runs import lock as run_lock
from hostile_files import Files
from hostile_reading import Reader, Reading
from toy_run import ToyRun

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(sys.platform == "win32", reason="it has no pipes in folders"),
]

SEED = 31
COUNT = int(os.environ.get("EVERTALK_HOSTILE_FILES", "100"))
FIRST = int(os.environ.get("EVERTALK_HOSTILE_FIRST", "0"))
LOG = logging.getLogger(__name__)


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reading:
    """A lock is stale at once: what is tried is what is in it."""
    from evertalk_pack.nodes.host.codecs.text_embeds import load_text_embeds
    from evertalk_pack.nodes.host.run.estimate import told_seconds, told_size

    monkeypatch.setattr(run_lock, "_POLL_S", 0.01)
    card = ToyRun(tmp_path).card()
    more: dict[str, tuple[Reader, ...]] = {
        "embeds": (load_text_embeds,),
        "sound": (told_seconds,),
        "clip": (told_seconds,),
        "picture": (told_size,),
    }
    return Reading(Files(SEED, tmp_path, card.keys, card.fingerprint), tmp_path, more)


def test_files_without_a_fault_are_read(reading: Reading) -> None:
    for file in reading.files.good():
        reading.read(file)
    assert not reading.finds, "\n".join(reading.finds)
    assert all(name.endswith(" read") or name == "clip refused" for name in reading.counts), reading.counts
    assert reading.counts["clip refused"] == 1, "one of the clips has no sound"


def test_hostile_files_are_refused_with_a_sentence(reading: Reading) -> None:
    began = time.monotonic()
    reading.run(FIRST, COUNT)
    LOG.info(
        "%d files in %.0f s: %s; slowest %.2f s (%s), %.2f GB at most, %d finds",
        COUNT,
        time.monotonic() - began,
        dict(sorted(reading.counts.items())),
        reading.slowest_s,
        reading.slowest,
        reading.growth_bytes / 1e9,
        len(reading.finds),
    )
    assert {name.split(" ")[0] for name in reading.counts} == reading.files.kinds
    assert not reading.finds, "\n".join(reading.finds)
