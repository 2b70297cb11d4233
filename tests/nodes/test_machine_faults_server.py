"""A GPU or the memory that fails in the middle of a run, in the real server: words, and nothing lost.

The faults are raised where a real one would make PyTorch raise them (tests/nodes/fault_pack). `make test`
tries one of each sort; EVERTALK_FAULTS=1 (make soak) every fault in every phase.
"""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from comfy_client import Event, JobError, PackEvent, TextEvent
from comfy_server import ComfyServer, make_base_directory
from fault_words import FAILED, KEPT, NO_GPU_MEMORY, NO_RAM
from kill_runs import finished_windows, prepare, run_folders, tiny_run, write_speech

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

LOG = logging.getLogger(__name__)
PACK = Path(__file__).resolve().parent / "fault_pack"
SECONDS, WINDOWS, STEPS = 1.6, 3, 2
LOOK = "20"

WORDS = {
    "oom": NO_GPU_MEMORY,
    "late oom": NO_GPU_MEMORY,
    "cublas": NO_GPU_MEMORY,
    "engine": NO_GPU_MEMORY,
    "poisoned": FAILED,
    "gone": FAILED,
    "ram": NO_RAM,
    "python ram": NO_RAM,
}


@dataclass(frozen=True)
class Case:
    """A fault and what is finished when it comes.

    Attributes:
        place, kind, after, times: see the pack's Fault.
        finished: windows that are surely finished before it.
        words: what the user is told.
    """

    place: str
    kind: str
    after: int
    finished: int
    words: str
    times: int = 1_000_000

    def __str__(self) -> str:
        return f"{self.kind} at {self.place} {self.after}"


def cases() -> list[Case]:
    """Every fault in every phase; at each step of each window."""
    found = [
        Case(place, kind, after, finished, words)
        for kind, words in WORDS.items()
        for place, after, finished in (
            ("load", 3, 1),
            *(("encode", window, window) for window in range(WINDOWS)),
            *(("step", step, step // STEPS) for step in range(WINDOWS * STEPS)),
            *(("decode", window, window) for window in range(WINDOWS)),
            *(("colour", window, window) for window in range(WINDOWS)),
            ("write", 0, 0),
            ("write", 20, 1),
            ("write", 35, 2),
        )
    ]
    nan = [
        Case("step", "nan", step, step // STEPS, f"the first step gave NaN.*{KEPT}", 1) for step in (0, 2, 4)
    ]
    nan += [
        Case("step", "nan", step, step // STEPS, f"a later step gave NaN.*{KEPT}", 1) for step in (1, 3, 5)
    ]
    nan += [
        Case(place, "nan", window, window, f"the frames of window {window + 1} hold NaN.*{KEPT}", 1)
        for place in ("decode", "colour")
        for window in range(WINDOWS)
    ]
    return found + nan


SHORT = {
    "oom at load 3",
    "late oom at encode 1",
    "cublas at step 3",
    "poisoned at step 2",
    "engine at decode 1",
    "oom at colour 2",
    "ram at write 20",
    "python ram at decode 2",
    "nan at step 3",
    "nan at decode 1",
}
ALL = [case for case in cases() if os.environ.get("EVERTALK_FAULTS") or str(case) in SHORT]


@dataclass
class Stage:
    """The server whose calls can be made to fail."""

    server: ComfyServer
    aside: int = 0

    def arm(self, **fault: Any) -> int:
        """Arm a fault, or none; how often the place of the one before was called."""
        return self.server.client.ask("/fault", fault)["calls"]

    def run(self, seconds: float = SECONDS) -> tuple[set[int], list[str]]:
        """Make the video, or what is left of it: the windows said to be written, and the texts."""
        written, texts = set[int](), list[str]()

        def note(event: Event) -> None:
            if isinstance(event, PackEvent) and event.kind == "window":
                written.add(event.data["window"])
            if isinstance(event, TextEvent):
                texts.append(event.text)

        try:
            self.server.client.run(graph(seconds), note, timeout_s=300)
        except JobError as error:
            texts.append(str(error))
        return written, texts

    def finished(self) -> int:
        """Windows on the disk."""
        return sum(finished_windows(folder) for folder in run_folders(self.server, "talk"))

    def video(self) -> bytes:
        (video,) = self.server.output.glob("talk_0*.mp4")
        return video.read_bytes()

    def clear(self) -> None:
        """Move away what there is; a sampler whose file is gone is run again."""
        self.aside += 1
        kept = self.server.base / "aside" / str(self.aside)
        kept.mkdir(parents=True)
        for old in self.server.output.glob("talk_*"):
            old.rename(kept / old.name)


def graph(seconds: float) -> dict[str, Any]:
    """The tiny run, its colours matched."""
    workflow = tiny_run(seconds, "talk")
    look = {"colour_match": "mkl", "colour_strength": 1.0, "blend_frames": 0}
    still = {"zoom": 1.0, "pan_x": 0.0, "pan_y": 0.0}
    workflow[LOOK] = {"class_type": "EverTalkLook", "inputs": look | still}
    for node in workflow.values():
        if node["class_type"] == "EverTalkSampler":
            node["inputs"]["look"] = [LOOK, 0]
    return workflow


@pytest.fixture(scope="module")
def stage(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp("faults")
    make_base_directory(base)
    (base / "custom_nodes" / PACK.name).symlink_to(PACK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "OMP_NUM_THREADS", "1"
        )  # so small a model is slower on more, and on a busy machine by far
        with ComfyServer(comfyui, base) as server:
            prepare(server)
            write_speech(server, SECONDS)
            stage = Stage(server)
            stage.arm()  # nothing is kept from one run to the next
            yield stage


@pytest.fixture(scope="module")
def expected(stage: Stage) -> bytes:
    """The video of a run that nothing disturbed."""
    stage.clear()
    stage.run()
    made = stage.video()
    stage.clear()
    return made


@pytest.fixture(autouse=True)
def _clear(stage: Stage) -> Iterator[None]:
    yield
    stage.arm()
    stage.clear()


@pytest.mark.parametrize("case", ALL, ids=str)
def test_run_ends_with_words_and_goes_on_with_the_same_bytes(
    stage: Stage, expected: bytes, case: Case
) -> None:
    stage.arm(place=case.place, kind=case.kind, after=case.after, times=case.times)
    written, texts = stage.run()
    assert stage.arm() > case.after, "the fault came"
    assert re.search(case.words, texts[-1]), texts[-1]
    finished = stage.finished()
    assert finished == case.finished
    assert written <= set(range(finished)), "what was said to be written is there"
    _, texts = stage.run()
    made = [text for text in texts if text.startswith("Window ") and " made" in text]
    assert len(made) == WINDOWS - finished, "finished windows are not made again"
    assert stage.video() == expected


SHORT_ONCE = [
    (place, after, kind)
    for place, after in (("encode", 1), ("step", 3), ("decode", 1))
    for kind in ("oom", "late oom", "cublas", "engine")
]
EACH_ONCE = [("encode", 1, "cublas"), ("step", 3, "oom"), ("step", 3, "late oom"), ("decode", 1, "oom")]
"""Each kind and each place; the soak tries all of them together."""


@pytest.mark.parametrize(
    ("place", "after", "kind"), SHORT_ONCE if os.environ.get("EVERTALK_FAULTS") else EACH_ONCE
)
def test_memory_that_is_short_once_is_got_over(
    stage: Stage, expected: bytes, place: str, after: int, kind: str
) -> None:
    stage.arm(place=place, kind=kind, after=after, times=1)
    _, texts = stage.run()
    assert any("did not suffice; begun again" in text or "going on with tiles" in text for text in texts)
    assert stage.finished() == WINDOWS
    assert place != "step" or stage.video() == expected


def test_a_gpu_that_is_gone_is_told_at_every_run_until_it_is_back(stage: Stage, expected: bytes) -> None:
    stage.arm(place="step", kind="gone", after=3, is_everywhere=True)
    _, texts = stage.run()
    assert re.search(f"{FAILED}.*{KEPT}", texts[-1]), texts[-1]
    _, texts = stage.run()
    assert re.search(f"{FAILED}.*{KEPT}", texts[-1]), texts[-1]
    assert stage.finished() == 1
    stage.arm()
    stage.run()
    assert stage.video() == expected


@pytest.mark.parametrize(("kind", "words"), WORDS.items())
def test_the_node_that_encodes_the_speech_says_what_failed(stage: Stage, kind: str, words: str) -> None:
    seconds = SECONDS + 0.04 * (1 + [*WORDS].index(kind))  # a sound of its own: others' speech is known
    write_speech(stage.server, seconds)
    stage.arm(place="speech", kind=kind)
    _, texts = stage.run(seconds)
    assert re.search(words, texts[-1]), texts[-1]
    assert "EverTalk Audio Embeds" in texts[-1]
    stage.arm()
    stage.run(seconds)
    assert stage.finished() > 0
