"""Reads hostile files with the pack's own readers and tells what went wrong: a find is one line."""

import os
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from evertalk_pack.attention.errors import PlainError
from evertalk_pack.multitalk.dubbing.cuts import find_cuts
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.media.picture_reader import read_picture
from evertalk_pack.multitalk.media.sound_file import read_sound
from evertalk_pack.multitalk.media.video_reader import frames_of, probe_video
from evertalk_pack.multitalk.media.video_reader import read_sound as read_result_sound
from evertalk_pack.multitalk.runs.folder import stored_manifest
from evertalk_pack.multitalk.runs.lock import RunLock
from evertalk_pack.multitalk.runs.manifest import parse_manifest, read_manifest
from evertalk_pack.multitalk.runs.overlap_file import read_overlap
from evertalk_pack.wanvideo.checkpoint import read_header
from evertalk_pack.wanvideo.checkpoint_kind import describe_checkpoint
from hostile_answers import ANSWER_S, GROWTH_BYTES, forget_peak, memory_bytes, wrong_sentence
from hostile_files import KEPT, LINKED, Files, HostileFile, plant
from toy_run import NO_WAITING, ToyRun

Reader: TypeAlias = Callable[[Path], object]

MOST_CHARACTERS = 2_000
RAW = ("Traceback", "[Errno", "<av.", "avcodec_")
MOST_FRAMES = 60
FRAMES = 3
"""Of a clip that are read, at times from its beginning to behind its end."""


@dataclass
class Reading:
    """Reads files of all kinds.

    Attributes:
        files: makes them.
        folder: theirs.
        more: readers that need a host, by kind.
        finds: what went wrong, one line each.
        counts: how the readings ended, by kind.
        slowest_s: of the readings.
        slowest: the file that it came to.
        growth_bytes: of the memory by one of them, at most.
    """

    files: Files
    folder: Path
    more: dict[str, tuple[Reader, ...]]
    finds: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    slowest_s: float = 0.0
    slowest: str = ""
    growth_bytes: int = 0

    def run(self, first: int, count: int) -> None:
        """Read so many files."""
        for number in range(first, first + count):
            file = self.files.file(number)
            # Should a library end the process, this says at which file.
            (self.folder / "reading.txt").write_text(f"{file.name}\n")
            self.read(file)

    def read(self, file: HostileFile) -> None:
        """Read a file with all readers of its kind; each gives something or refuses by a sentence."""
        path = self.folder / f"hostile{file.suffix}"
        path.write_bytes(file.content)
        for read in (*self._readers(file), *self.more.get(file.kind, ())):
            before = memory_bytes(os.getpid(), "VmRSS")
            forget_peak(os.getpid())
            took_s, end, told = self._once(file, read, path)
            growth = memory_bytes(os.getpid(), "VmHWM") - before
            if took_s > ANSWER_S:  # a busy machine may have been the reason
                took_s = min(took_s, self._once(file, read, path)[0])
            self.counts[f"{file.kind} {end}"] += 1
            if took_s > self.slowest_s:
                self.slowest_s, self.slowest = took_s, file.name
            self.growth_bytes = max(self.growth_bytes, growth)
            if took_s > ANSWER_S:
                self.finds.append(f"{file.name}: {took_s:.1f} s")
            if growth > GROWTH_BYTES:
                self.finds.append(f"{file.name}: {growth / 1e9:.1f} GB of memory")
            self.finds += [f"{file.name}: {line}" for line in wrong_sentence(told, MOST_CHARACTERS, RAW)]

    def _once(self, file: HostileFile, read: Reader, path: Path) -> tuple[float, str, str]:
        """Seconds that a reading took, how it ended, and the sentence of a refusal."""
        began, end, told = time.monotonic(), "read", ""
        try:
            read(path)
        except PlainError as error:
            end, told = "refused", str(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a find
            end = "failed"
            last = traceback.format_exception(error)[-3:]
            self.finds.append(f"{file.name}: {type(error).__name__}: {ascii(str(error))[:150]} {last}")
        return time.monotonic() - began, end, told

    def _readers(self, file: HostileFile) -> tuple[Reader, ...]:
        readers: dict[str, tuple[Reader, ...]] = {
            "embeds": (lambda path: describe_checkpoint(read_header(path)),),
            "carry": (lambda path: read_overlap(path, 2, (2, 2)),),
            "gguf": (lambda path: describe_checkpoint(read_header(path)),),
            "manifest": (read_manifest, lambda path: parse_manifest(path.read_bytes())),
            "run": (lambda _path: self._open_run(file),),
            "lock": (lambda _path: self._take_lock(file),),
            "sound": (lambda path: read_sound(path, self.folder / "temp", _never),),
            "picture": (read_picture,),
            "clip": (
                _read_result,
                _read_clip,
                lambda path: open_source(path).sound(0.0, self.folder / "temp"),
            ),
        }
        return readers[file.kind]

    def _open_run(self, file: HostileFile) -> None:
        """Open the run whose folder it is, as the sampler does before a window is made."""
        output = self.folder / "output"
        shutil.rmtree(output, ignore_errors=True)
        run = ToyRun(output, rules=NO_WAITING)
        output.mkdir()
        store = run.new_store()
        store.folder.mkdir(parents=True)
        plant(store.folder, file)
        kept = store.folder.parent / LINKED / KEPT
        try:
            with store:
                pass
            stored_manifest(store.folder)
        finally:
            if not kept.is_file() or kept.read_text() != "kept":
                self.finds.append(f"{file.name}: what a link leads to was changed")

    def _take_lock(self, file: HostileFile) -> None:
        folder = self.folder / "locked"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "lock").write_bytes(file.content)
        with RunLock(folder, stale_s=0.0) as lock:
            lock.check()


def _read_clip(path: Path) -> None:
    clip = open_source(path)
    assert len(str(clip)) < MOST_CHARACTERS
    reader = clip.reader()
    for number in range(FRAMES):
        reader.frame_at(
            number * max(1.0, clip.duration_s) / (FRAMES - 1) if clip.duration_s < 1e6 else number
        )
    reader.close()
    reader = clip.reader()
    find_cuts(reader)
    reader.close()


def _read_result(path: Path) -> None:
    """As the decode node reads a finished video."""
    probe_video(path)
    for number, frame_HWC in enumerate(frames_of(path)):
        assert frame_HWC.ndim == 3
        if number >= MOST_FRAMES:
            break
    read_result_sound(path)


def _never() -> None:
    """Nobody asks to stop."""
