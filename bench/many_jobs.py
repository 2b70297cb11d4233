"""A server's day of work in miniature: very many small jobs of mixed kinds, one after the other.

    python bench/many_jobs.py --comfyui .cache/ComfyUI --jobs 1000 --browser

All modes, one and two voices, clips dubbed whole and in a region, several sizes and formats. Of twelve jobs
one is stopped in the middle and queued again, and two are wrong in a way that must be refused; all others
must give a video with the right frames and as much sound. The first job is made again at the end and must
give the same bytes. With --browser the editor is open beside it, is loaded again every RELOADED jobs, and
must not complain. Prints a JSON line for each tenth of the jobs, with what went wrong so far, the server's
memory, threads and open files, and one at the end; the exit code is 1 where a job went wrong.
`make soak` calls it. Linux.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import av

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "support"), str(ROOT / "scripts")]

from comfy_client import ComfyClient, Event, JobError, JobInterruptedError, TextEvent  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402
from dub_graph import SOURCE, Graph, dub_graph  # noqa: E402
from kill_runs import prepare, tiny_run, write_speech  # noqa: E402
from source_clips import grey, write_clip  # noqa: E402
from tiny_folder import write_flashtalk, write_skyreels  # noqa: E402
from watched_run import Footprint, Watch, frames_in  # noqa: E402

FPS = 25
SOUND_APART_S = 0.1
LENGTHS_S = (0.5, 1.0, 1.6, 2.4)
SIDES_PX = (32, 48, 64)
HEVC, HEVC_SIDE_PX = "mp4 10-bit (hevc)", 64
FORMATS = ("mp4 (h264)", "mp4 (h264)", HEVC, "mkv lossless (ffv1)", "png sequence")
SCHEDULERS = ("infinitetalk", "multitalk", "simple")
STOPPED, BAD, VOICES, LATENT = "stopped", "refused", "two voices", "latent"
LOOK, MULTITALK, FLASHTALK, SKYREELS, DUB, REGION = (
    "look",
    "multitalk",
    "flashtalk",
    "skyreels",
    "dub",
    "region",
)
KINDS = ("plain", LOOK, MULTITALK, FLASHTALK, SKYREELS, VOICES, DUB, REGION, LATENT, STOPPED, BAD, BAD)
"""Of so many jobs, in a drawn order."""

RELOADED = 25
"""Jobs from one loading of the page to the next."""

FLASH_FOLDER, SKY_FOLDER = "tiny-flashtalk-14B", "tiny-skyreels-19B"
WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    FLASHTALK: (FLASH_FOLDER, {"window_frames": 17, "motion_frames": 5, "scheduler": "flashtalk_2"}),
    SKYREELS: (SKY_FOLDER, {"window_frames": 33, "motion_frames": 5, "scheduler": "skyreels"}),
}
"""Models that are one folder, and the sampler's widgets for them."""

SAMPLER, EMBEDS, PICTURE, SPEECH, MODEL = "8", "7", "1", "2", "3"
LOOK_NODE, SECOND_VOICE, SPEAKERS = "30", "31", "32"
BOX = {"work_on": "region", "region_box": "20%,20%,50%,60%", "context": 0.3}
Spoil = Callable[[Graph], None]

MISTAKES: dict[str, Spoil] = {
    "filename_prefix": lambda graph: graph[SAMPLER]["inputs"].update(filename_prefix="../outside"),
    "window_frames": lambda graph: graph[SAMPLER]["inputs"].update(window_frames=85),
    "negative": lambda graph: graph[SAMPLER]["inputs"].update(text_scale=5.0),
    "window_seeds": lambda graph: graph[SAMPLER]["inputs"].update(window_seeds="1: what"),
    "vae": lambda graph: graph[SAMPLER]["inputs"].update(vae="a word"),
    "encoder": lambda graph: graph["6"]["inputs"].update(encoder="not_there.safetensors"),
    "audio": lambda graph: graph[SPEECH]["inputs"].update(audio="not_there.wav"),
    "width": lambda graph: graph[SAMPLER]["inputs"].update(width=8),
    "scheduler": lambda graph: graph[SAMPLER]["inputs"].update(WHOLE[FLASHTALK][1]),
    "image": lambda graph: graph[PICTURE]["inputs"].update(image="not_there.png"),
    "audio_embeds": lambda graph: graph[SAMPLER]["inputs"].pop("audio_embeds"),
    "pause_after": lambda graph: graph[SAMPLER]["inputs"].update(pause_after=-1),
    "region_box": lambda graph: graph.update(
        clip_graph(LENGTHS_S[0], BOX | {"region_box": "80%,0%,25%,50%"})
    ),
    "output": lambda graph: graph[SAMPLER]["inputs"].update(output="latent", window_frames=9),
}
"""What is wrong, by a word that the refusal has."""


@dataclass
class Tally:
    """What came of the jobs.

    Attributes:
        kinds: how many of each kind went right.
        wrong: what went wrong, a line each.
    """

    kinds: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])


class Day:
    """Queues the jobs of a day.

    Args:
        server: with the tiny models, which nobody else uses.
        seed: of what is drawn.
    """

    def __init__(self, server: ComfyServer, seed: int) -> None:
        self._server, self._seed = server, seed
        self.tally = Tally()

    def job(self, number: int) -> None:
        """One job; what is wrong with it is noted."""
        draw = Random(f"{self._seed}:{number}")
        order = [*KINDS]
        Random(f"{self._seed}:{number // len(KINDS)}").shuffle(order)
        kind = order[number % len(KINDS)]
        if number % 50 == 0:  # as a page that was closed and one that is opened
            self._server.client = ComfyClient(self._server.client.address)
        try:
            found = self._bad(number, draw) if kind == BAD else self._good(number, kind, draw)
        except (JobError, TimeoutError, ValueError, OSError) as error:
            found = f"{type(error).__name__}: {error}"
        if found:
            self.tally.wrong.append(f"{number} ({kind}): {found}")
        else:
            self.tally.kinds[kind] += 1

    def reference(self) -> bytes:
        """The video of a job that is always the same, made anew."""
        self._server.client.run(graph_of(LENGTHS_S[1], "same", seed=1), timeout_s=300)
        (video,) = self._server.output.glob("same_0*.mp4")
        made = video.read_bytes()
        for old in self._server.output.glob("same_*"):
            old.rename(self._server.base / "temp" / f"{time.monotonic_ns()}_{old.name}")
        return made

    def _good(self, number: int, kind: str, draw: Random) -> str:
        seconds, prefix = draw.choice(LENGTHS_S), f"job_{number}"
        side, form = draw.choice(SIDES_PX), draw.choice(FORMATS)
        side = HEVC_SIDE_PX if form == HEVC else side  # smaller ones are refused
        widgets = {"scheduler": draw.choice(SCHEDULERS), "steps": draw.randint(1, 3), "seed": number}
        graph = graph_of(seconds, prefix, width=side, height=side, format=form, **widgets)
        if kind == LATENT:
            graph = graph_of(LENGTHS_S[0], prefix, output="latent", **widgets)
            self._server.client.run(graph, timeout_s=300)
            return ""
        if kind in (DUB, REGION):
            graph = clip_graph(
                seconds, BOX if kind == REGION else {}, filename_prefix=prefix, format=form, **widgets
            )
        if kind == VOICES:
            give_voices(graph, seconds)
        if kind == MULTITALK:
            graph[MODEL]["inputs"]["mode"] = MULTITALK
        if kind in WHOLE:
            folder, windows = WHOLE[kind]
            graph[MODEL]["inputs"] |= {"base_model": folder, "talk_model": "in the base model"}
            graph[SAMPLER]["inputs"] |= windows
        if kind == LOOK:
            look = {"colour_match": draw.choice(("lab", "mkl")), "colour_strength": 1.0, "blend_frames": 3}
            look |= {"zoom": 1.1, "pan_x": 0.0, "pan_y": 0.0}
            graph[LOOK_NODE] = {"class_type": "EverTalkLook", "inputs": look}
            graph[SAMPLER]["inputs"]["look"] = [LOOK_NODE, 0]
        if kind == STOPPED:
            seconds, graph = LENGTHS_S[-1], graph_of(LENGTHS_S[-1], prefix, **widgets | {"steps": 12})
            found = self._stopped(graph)
            if found:
                return found
            for part in self._server.output.glob(f"{prefix}_0*"):  # what there was when it was stopped
                part.unlink()
        self._server.client.run(graph, timeout_s=300)
        return self._wrong_length(prefix, seconds)

    def _stopped(self, graph: Graph) -> str:
        def stop(event: Event) -> None:
            if isinstance(event, TextEvent) and event.text.startswith("Window 2 of"):
                self._server.client.interrupt()

        try:
            self._server.client.run(graph, stop, timeout_s=300)
        except JobInterruptedError:
            return ""
        return "it was stopped and ended as if it were not"

    def _bad(self, number: int, draw: Random) -> str:
        graph, word = graph_of(LENGTHS_S[0], f"job_{number}"), draw.choice([*MISTAKES])
        MISTAKES[word](graph)
        try:
            self._server.client.run(graph, timeout_s=300)
        except JobError as error:
            return "" if word in str(error) else f"{word} is not named: {error}"
        return f"{word} was not refused"

    def _wrong_length(self, prefix: str, seconds: float) -> str:
        expected = round(FPS * seconds)
        made = list(self._server.output.glob(f"{prefix}_0*"))
        if len(made) != 1:
            return f"{len(made)} videos"
        frames = len([*made[0].glob("*.png")]) if made[0].is_dir() else frames_in(made[0])
        if frames != expected:
            return f"{frames} frames, expected {expected}"
        sound_s = seconds if made[0].is_dir() else sound_in(made[0])
        return "" if abs(sound_s - seconds) < SOUND_APART_S else f"{sound_s} s of sound, expected {seconds}"


def sound_in(video: Path) -> float:
    """Seconds of a video's sound, decoded."""
    with av.open(str(video)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def graph_of(seconds: float, prefix: str, **widgets: Any) -> Graph:
    """The demo's graph on the sound of so many seconds."""
    graph: Graph = tiny_run(seconds, prefix, **widgets)
    return graph


def clip_graph(seconds: float, source: dict[str, Any], **widgets: Any) -> Graph:
    """The demo's graph on a clip of so many seconds, which speaks itself."""
    graph = dub_graph(clip_name(seconds), denoise=0.5)
    graph[SOURCE]["inputs"] |= source
    graph[SAMPLER]["inputs"] |= widgets
    return graph


def clip_name(seconds: float) -> str:
    """The file of the clip of so many seconds in the input folder."""
    return f"clip_{seconds:g}.mp4"


def write_clips(server: ComfyServer) -> None:
    """Clips of all lengths in a server's input folder."""
    for seconds in LENGTHS_S:
        pictures = ((k / FPS, grey(60 + k, 96, 128)) for k in range(round(FPS * seconds)))
        write_clip(server.base / "input" / clip_name(seconds), pictures, sound_s=seconds)


def give_voices(graph: Graph, seconds: float) -> None:
    """Two speakers instead of one, side by side in the picture."""
    graph[SECOND_VOICE] = {"class_type": "LoadAudio", "inputs": {"audio": f"speech_{seconds:g}.wav"}}
    speakers = {"audio_a": [SPEECH, 0], "audio_b": [SECOND_VOICE, 0], "start_image": [PICTURE, 0]}
    speakers |= {"arrangement": "para", "timeline": "", "boxes": ""}
    graph[SPEAKERS] = {"class_type": "EverTalkSpeakers", "inputs": speakers}
    embeds = graph[EMBEDS]["inputs"]
    del embeds["audio"]
    embeds["speakers"] = [SPEAKERS, 0]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument("--browser", action="store_true", help="with the editor beside it")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models are so small that more threads cost time
    with tempfile.TemporaryDirectory() as folder, ComfyServer(arguments.comfyui, Path(folder)) as server:
        prepare(server)
        write_flashtalk(server.models, FLASH_FOLDER)
        write_skyreels(server.models, SKY_FOLDER)
        write_clips(server)
        for seconds in LENGTHS_S:
            write_speech(server, seconds)
        with open_page(server) if arguments.browser else nullcontext() as page:
            tally = day_of(server, arguments.jobs, arguments.seed, page)
    print(json.dumps({"right": dict(tally.kinds), "wrong": tally.wrong}), flush=True)
    sys.exit(1 if tally.wrong else 0)


class Page:
    """The editor in a browser.

    Args:
        editor: an `Editor`, open.
    """

    def __init__(self, editor: Any) -> None:
        self._editor = editor

    def reload(self) -> None:
        """As by the browser's button, and wait until the pack's part is there again."""
        from editor_page import IS_OPEN

        self._editor.page.reload()
        self._editor.wait(IS_OPEN)

    @property
    def complaints(self) -> list[str]:
        """What the page has logged as errors so far, each once."""
        return sorted(set(self._editor.errors))


@contextmanager
def open_page(server: ComfyServer) -> Generator[Page]:
    """The editor of a server, open."""
    from editor_page import Editor, open_browser  # without --browser none is needed

    with open_browser() as browser:
        yield Page(Editor.open(browser, server.client))


def day_of(server: ComfyServer, jobs: int, seed: int, page: Page | None = None) -> Tally:
    """All jobs of a day; the server's figures are printed for each tenth of them."""
    day = Day(server, seed)
    # A thread of their own: beside a page this one has an event loop already, and a job needs one.
    with Watch(server) as watch, ThreadPoolExecutor(1) as jobs_thread:
        before = jobs_thread.submit(day.reference).result()
        for number in range(jobs):
            watch.window = 1 + 10 * number // jobs
            jobs_thread.submit(day.job, number).result()
            if page is not None and number % RELOADED == RELOADED - 1:
                page.reload()
            if 10 * (number + 1) // jobs >= watch.window:
                looks = [look for window, look in watch.samples if window == watch.window]
                figures = (
                    asdict(Footprint.of(looks)) if looks else {}
                )  # jobs so few that none lasted a second
                came = {"right": day.tally.kinds.total(), "wrong": day.tally.wrong}
                print(json.dumps({"jobs": number + 1, **figures, **came}), flush=True)
        after = jobs_thread.submit(day.reference).result()
    if page is not None:
        day.tally.wrong += [f"the page: {line}" for line in page.complaints]
    if after != before:
        day.tally.wrong.append("the first job gave other bytes at the end")
    return day.tally


if __name__ == "__main__":
    main()
