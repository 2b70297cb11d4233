"""Makes a talking video of a picture and speech in a real ComfyUI server, the way a user's program would.

Starts a server with this pack in it, uploads the picture and the speech, queues a workflow over HTTP, shows
its progress, checks the video and stops the server. `make demo` calls it.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from comfy_client import ComfyClient, JobError, JsonObject, Outcome, ServerError
from comfy_server import LOG_NAME, ComfyServer, ServerStartError
from media_check import FPS, MediaError, Sound, Video, check_video, measure_sound, measure_video
from progress import ProgressDisplay

CLIP_FPS = 30
"""Of the drawn clip."""

DEMO = Path(__file__).resolve().parent
ROOT = DEMO.parent
RUN = DEMO / "run"
WORKFLOWS = ROOT / "workflows" / "api"
MEDIA = DEMO / "media"


@dataclass(frozen=True, slots=True)
class Show:
    """What a demo shows.

    Attributes:
        picture: in demo/media.
        voices: in demo/media.
        workflow: in workflows/api.
        trained: whether the trained miniatures play, else the hand-wired models.
        base: ComfyUI's folder for it.
        is_clip: whether its picture is a clip, of which one person gets another voice.
    """

    picture: str
    voices: tuple[str, ...]
    workflow: str
    trained: bool
    base: Path
    is_clip: bool = False


CARTOON = Show("cartoon.png", ("speech.flac",), "demo_cartoon", trained=True, base=RUN)
TWO = Show("cartoon_two.png", ("speech_a.flac", "speech_b.flac"), "demo_cartoon_two", trained=True, base=RUN)
PORTRAIT = Show("portrait.jpg", ("speech.flac",), "demo_tiny", trained=False, base=RUN / "portrait")
CLIP = Show(
    "two_talk.mp4", ("speech_a.flac",), "demo_cartoon_clip", trained=True, base=RUN / "clip", is_clip=True
)


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--two", action="store_const", dest="show", const=TWO, help="two people, two voices")
    which.add_argument(
        "--portrait",
        action="store_const",
        dest="show",
        const=PORTRAIT,
        help="a photograph through models wired by hand: any picture, no lips; what --image uses",
    )
    which.add_argument(
        "--clip",
        action="store_const",
        dest="show",
        const=CLIP,
        help="a drawn clip of two people, 320x240, 30 frames a second: one gets a new voice, the rest stays",
    )
    parser.add_argument("--image", type=Path, help="the picture")
    parser.add_argument("--audio", type=Path, nargs="+", help="the speech, one file a person")
    parser.add_argument("--workflow", type=Path, help="in API format")
    parser.add_argument("--size", type=parse_size, help="WIDTHxHEIGHT in pixels, instead of the workflow's")
    parser.add_argument("--output-dir", type=Path, default=RUN / "output", help="where the video goes")
    parser.add_argument(
        "--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI", help="the folder of ComfyUI"
    )
    parser.add_argument("--keep-server", action="store_true", help="leave the server running until Ctrl-C")
    chosen = parser.parse_args(arguments)
    # The trained miniatures know cartoon people only; a picture of one's own needs the others.
    chosen.show = chosen.show or (PORTRAIT if chosen.image else CARTOON)
    chosen.image = chosen.image or MEDIA / chosen.show.picture
    chosen.audio = chosen.audio or [MEDIA / voice for voice in chosen.show.voices]
    chosen.workflow = chosen.workflow or WORKFLOWS / f"{chosen.show.workflow}.api.json"
    return chosen


def parse_size(text: str) -> tuple[int, int]:
    """Read "832x480" as (832, 480)."""
    width, separator, height = text.lower().partition("x")
    if not (separator and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write WIDTHxHEIGHT, such as 832x480")
    return int(width), int(height)


def read_workflow(file: Path) -> JsonObject:
    """A workflow in API format; raises DemoError if it is none."""
    try:
        workflow: JsonObject = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise DemoError(f"{file} is no JSON: {error}") from error
    if "nodes" in workflow:
        raise DemoError(f"{file} is in the interface's format; export it with File > Export (API).")
    return workflow


def put_inputs(workflow: JsonObject, image: str, voices: Sequence[str], size: tuple[int, int] | None) -> None:
    """Write the uploaded files' names, and the size if one was chosen, into the workflow's nodes.

    Pictures all become the one; sounds are given to the nodes in their order.
    """
    pictures, sounds = nodes_of(workflow, "LoadImage"), nodes_of(workflow, "LoadAudio")
    clips = nodes_of(workflow, "LoadVideo")
    if not pictures and not clips:
        raise DemoError(f"The workflow has no LoadImage node to take {image}.")
    if len(sounds) != len(voices):
        raise DemoError(
            f"The workflow has {len(sounds)} LoadAudio nodes, but {len(voices)} sounds were given: "
            f"{', '.join(voices)}."
        )
    for node in pictures:
        node["inputs"]["image"] = image
    for node in clips:
        node["inputs"]["file"] = image
    for node, voice in zip(sounds, voices, strict=True):
        node["inputs"]["audio"] = voice
    if size:
        sized = [node["inputs"] for node in workflow.values() if {"width", "height"} <= node["inputs"].keys()]
        if not sized:
            raise DemoError("--size was given, but no node of the workflow has a width and a height.")
        for inputs in sized:
            inputs["width"], inputs["height"] = size


def nodes_of(workflow: JsonObject, class_type: str) -> list[JsonObject]:
    """The workflow's nodes of a class, in their order."""
    return [node for node in workflow.values() if node["class_type"] == class_type]


def whole_sound(files: Sequence[Path]) -> Sound:
    """The sound of a video whose voices speak one after the other."""
    sounds = [measure_sound(file) for file in files]
    rate_hz = sounds[0].sample_rate_hz
    return Sound(round(sum(sound.duration_s for sound in sounds) * rate_hz), rate_hz)


def make_tiny_models(models: Path, *, trained: bool) -> None:
    """Write the trained or the hand-wired tiny models unless they are there."""
    command = [sys.executable, str(DEMO / "make_tiny.py"), "--models", str(models)]
    done = subprocess.run(command if trained else [*command, "--wired"], check=False)
    if done.returncode != 0:
        raise DemoError("The tiny models could not be made; the lines above say why.")


def video_file(outcome: Outcome, server: ComfyServer, started_at_s: float) -> Path:
    """The video that a job has made: the one it reported, else the newest file it has written."""
    folders = {"output": server.output, "temp": server.base / "temp"}
    reported = [
        folders[entry["type"]] / entry["subfolder"] / entry["filename"]
        for node in outcome.outputs.values()
        for entries in node.values()
        for entry in entries
        if isinstance(entry, dict) and str(entry.get("filename")).endswith(".mp4")
    ]
    written = [file for file in server.output.rglob("*.mp4") if file.stat().st_mtime >= started_at_s]
    found = reported or sorted(written, key=lambda file: file.stat().st_mtime)
    if not found:
        raise DemoError(f"The job has ended, but there is no new mp4 in {server.output}.")
    return found[-1]


def run_job(client: ComfyClient, workflow: JsonObject) -> tuple[Outcome, ProgressDisplay]:
    """Queue the workflow and show its progress until it ends."""
    display = ProgressDisplay(workflow, sys.stdout)
    try:
        return client.run(workflow, display.show), display
    finally:
        display.close()


def show_clip(chosen: argparse.Namespace, file: Path, display: ProgressDisplay) -> None:
    """Print whether the lips follow the new voice, and what became of the rest of the clip."""
    from clip_check import compare_clips  # noqa: PLC0415  # brings PyTorch

    print(f"demo: {compare_clips(chosen.image, file, chosen.audio[0])}")
    outside = [text for text in display.texts if "outside the region" in text]
    print(f"demo: {outside[-1] if outside else 'the windows were finished before'}", flush=True)


def summary(video: Video, num_windows: int | None, computing_s: float, fps: int = FPS) -> str:
    """One line about the video."""
    windows = f", {num_windows} windows" if num_windows else ""
    return (
        f"{video.num_frames} frames, {video.num_frames / fps:.2f} s, {video.width_px}x{video.height_px}"
        f"{windows}, {computing_s:.0f} s of computing"
    )


def make_video(chosen: argparse.Namespace) -> None:
    """The whole demo; raises one of the errors that main() shows."""
    show: Show = chosen.show
    for file in (chosen.image, *chosen.audio, chosen.workflow):
        if not file.is_file():
            raise DemoError(f"{file} is not there.")
    workflow = read_workflow(chosen.workflow)
    speech = whole_sound(chosen.audio)
    make_tiny_models(show.base / "models", trained=show.trained)
    print("demo: starting ComfyUI", flush=True)
    with ComfyServer(chosen.comfyui, show.base, chosen.output_dir) as server:
        client = server.client
        files = ", ".join(file.name for file in (chosen.image, *chosen.audio))
        print(f"demo: {client.address} answers; uploading {files}", flush=True)
        voices = [client.upload(file) for file in chosen.audio]
        put_inputs(workflow, client.upload(chosen.image), voices, chosen.size)
        started_at_s = time.time()
        outcome, display = run_job(client, workflow)
        computing_s = time.time() - started_at_s
        file = video_file(outcome, server, started_at_s)
        video = measure_video(file)
        if not show.is_clip:
            check_video(video, speech)
        print(f"demo: {file.resolve()}")
        fps = CLIP_FPS if show.is_clip else FPS
        print(f"demo: {summary(video, display.num_windows, computing_s, fps)}", flush=True)
        if show.is_clip:
            show_clip(chosen, file, display)
        if chosen.keep_server:
            print(f"demo: {client.address} stays up; Ctrl-C stops it", flush=True)
            with suppress(KeyboardInterrupt):
                server.wait()


def stop_on_signal(number: int, frame: FrameType | None) -> None:
    """Leave through the ordinary exits, so that the server is stopped too."""
    del frame
    sys.exit(128 + number)


def main(arguments: list[str]) -> int:
    """Run the demo; the exit code is 1 if it failed."""
    signal.signal(signal.SIGTERM, stop_on_signal)
    chosen = read_arguments(arguments)
    try:
        make_video(chosen)
    except (DemoError, MediaError, ServerError, ServerStartError, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except JobError as error:
        print(f"demo: {error}", file=sys.stderr)
        if error.trace:
            print(f"demo: the whole trace is in {chosen.show.base / LOG_NAME}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
