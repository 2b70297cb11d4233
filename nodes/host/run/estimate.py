"""What a run will be, told from the graph before anything of it runs: POST /evertalk/estimate.

The editor sends what is connected to a sampler, in the API's format. Sizes and lengths are read from the
heads of the files that Load Audio, EverTalk Load Speech, Load Image and Load Video name; outputs of
other nodes are unknown until they run.
"""

import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import av
import folder_paths
from aiohttp import web
from av.error import FFmpegError
from PIL import Image, UnidentifiedImageError

from ....multitalk.common.errors import InputError
from ....multitalk.dubbing.box_text import parse_boxes
from ....multitalk.dubbing.box_track import track_of_cues
from ....multitalk.dubbing.crop import MAX_CONTEXT
from ....multitalk.dubbing.paste import pasted_size
from ....multitalk.dubbing.source import SourceVideo, open_source
from ....multitalk.dubbing.work_region import WORK_REGION, natural_box
from ....multitalk.media.media_file import open_media
from ....multitalk.media.sound_file import MAX_HOURS, check_claims, too_long
from ....multitalk.runs.manifest import check_window_count
from ....multitalk.speech.waveform import video_frames_in
from ....multitalk.windows.schedule_windows import windows_under
from ....multitalk.windows.settings import FrameSize, WindowSettings, checked_windows
from ....wanvideo.plain_file import open_plain
from ..codecs.soundtrack import NAME as SOUNDTRACK
from ..parallel.machine import ALONE, CHOICES
from ..report.request_json import json_of
from ..report.routes import RequestError, worked_out
from ..report.widget_values import MAX_PRIMITIVES, PRIMITIVES
from .model_defaults import fit_of
from .posted_gpus import LOADER, check_gpus_of
from .posted_modes import LOADERS
from .request import CUSTOM_SIZE, video_size

ROUTE = "/evertalk/estimate"
ORIENTATION_TAG = 0x0112
PARALLEL = "EverTalkParallel"
PASSING = (PARALLEL, "EverTalkStepCache", "LoraLoaderModelOnly")
"""Nodes between a loader and the sampler that leave it the kind of model that it is."""
MAX_PASSING = 20
VIDEO_SOURCE = "EverTalkVideoSource"
SOUND_LOADERS = ("LoadAudio", "EverTalkLoadSpeech")
TURNED = {5, 6, 7, 8}
"""EXIF's orientations whose sides are swapped when the picture is seen."""

EXPECTED = "expected a node and a prompt: a sampler's id, and nodes by id with class_type and inputs"
NO_PICTURE = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    SyntaxError,
    EOFError,
    MemoryError,
    RecursionError,
    struct.error,
    zlib.error,
)
"""What damaged values end in, in the readers of Pillow's many formats."""

SHOWN_NAME = 100
"""Characters of a file's name in a sentence."""

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What can be said of a run; None where it depends on what has not run yet.

    Attributes:
        seconds: how long the speech lasts.
        frames: of the video.
        windows: that it takes.
        at_least: a clip's cuts, which are not known yet, may add windows.
        width: of the video, in pixels.
        height: of the video, in pixels.
        region_width: in pixels, at which a region is made that goes back into its clip; None: not known, or
            there is none.
        region_height: likewise.
        problem: why it cannot run; empty if nothing speaks against it.
        suggested: the sampler's widgets that go with its model, where others are set.
    """

    seconds: float | None = None
    frames: int | None = None
    windows: int | None = None
    at_least: bool = False
    width: int | None = None
    height: int | None = None
    region_width: int | None = None
    region_height: int | None = None
    problem: str = ""
    suggested: Mapping[str, int | str] = field(default_factory=dict[str, int | str])


class SentGraph:
    """A part of a graph, as the editor sends it: node ids to class and inputs.

    Raises:
        RequestError: it is none.
    """

    def __init__(self, prompt: object) -> None:
        nodes = _mapping(prompt, "the prompt")
        for node_id, node in nodes.items():
            fields = _mapping(node, f"node {node_id}")
            _mapping(fields.get("inputs"), f"inputs of node {node_id}")
            if not isinstance(fields.get("class_type"), str):
                raise RequestError(f"{EXPECTED}; node {node_id} has no class_type")
        self._prompt = nodes

    def node(self, node_id: str) -> Node | None:
        """A node, or None if it was not sent."""
        return self._prompt.get(node_id)

    def source(self, node: Node | None, name: str, *kinds: str) -> Node | None:
        """The node that feeds an input, if it was sent and is of one of these classes."""
        link = None if node is None else node["inputs"].get(name)
        found = self.node(str(cast("list[object]", link)[0])) if isinstance(link, list) and link else None
        return found if found is not None and found["class_type"] in kinds else None

    def with_values(self, node: Node) -> Node:
        """A node whose widgets hold what ComfyUI's primitive nodes bring over links."""
        inputs: dict[str, Any] = dict(node["inputs"])
        for name, value in node["inputs"].items():
            held = value
            for _ in range(MAX_PRIMITIVES):
                source = self.source({"inputs": {name: held}}, name, *PRIMITIVES)
                if source is None:
                    break
                held = source["inputs"].get("value")
            inputs[name] = held
        return {**node, "inputs": inputs}


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RequestError(f"{EXPECTED}; {name} came as {type(value).__name__}")
    return cast("Mapping[str, Any]", value)


def estimate_of(prompt: object, sampler_id: str) -> Estimate:
    """What a sampler's run will be.

    Raises:
        RequestError: `prompt` is not a graph in the API's format.
    """
    graph = SentGraph(prompt)
    sampler = graph.node(sampler_id)
    if sampler is None:
        return Estimate()
    sampler = graph.with_values(sampler)
    loader, gpus = loader_of(graph, sampler)
    if loader is not None:
        problem, suggested = fit_of(graph.with_values(loader)["inputs"], sampler["inputs"].get("scheduler"))
        if problem:
            return Estimate(problem=problem, suggested=suggested)
    try:
        if gpus in CHOICES and gpus != ALONE and loader is not None and loader["class_type"] == LOADER:
            check_gpus_of(gpus, graph.with_values(loader)["inputs"])
        sized = sizes_of(graph, sampler)
        embeds = graph.source(sampler, "audio_embeds", "EverTalkAudioEmbeds")
        seconds = speech_seconds(graph, embeds)
        sound_seconds(graph, embeds, SOUNDTRACK)  # refused if it cannot be played; its length decides nothing
        settings = window_settings(sampler["inputs"])
    except InputError as error:
        return Estimate(problem=str(error))
    if seconds is None or settings is None:
        return sized
    frames = video_frames_in(seconds)
    known = replace(sized, seconds=seconds, frames=frames)
    try:
        windows = windows_under(str(sampler["inputs"].get("scheduler")), frames, settings)
        check_window_count(len(windows))
    except InputError as error:
        return replace(known, problem=str(error))
    clip = graph.source(sampler, "source", VIDEO_SOURCE)
    at_least = clip is not None and clip["inputs"].get("scene_cuts") == "detect"
    return replace(known, windows=len(windows), at_least=at_least)


def loader_of(graph: SentGraph, sampler: Node) -> tuple[Node | None, str]:
    """What loads a sampler's model, through the nodes that pass it on, and how many GPUs these give it."""
    node, gpus = graph.source(sampler, "model", *LOADERS, *PASSING), ALONE
    for _ in range(MAX_PASSING):
        if node is None or node["class_type"] in LOADERS:
            return node, gpus
        if node["class_type"] == PARALLEL:
            gpus = str(graph.with_values(node)["inputs"].get("gpus"))
        node = graph.source(node, "model", *LOADERS, *PASSING)
    return None, gpus


def window_settings(inputs: dict[str, Any]) -> WindowSettings | None:
    """The sampler's, or None while a link brings them.

    Raises:
        InputError: they contradict.
    """
    window_frames, motion_frames = inputs.get("window_frames"), inputs.get("motion_frames")
    if not isinstance(window_frames, int) or not isinstance(motion_frames, int):
        return None
    return checked_windows(WindowSettings(window_frames, motion_frames))[0]


def sizes_of(graph: SentGraph, sampler: Node) -> Estimate:
    """The video's size; and the region's, where one is made to talk and goes back into the clip.

    Raises:
        InputError: a size that no video can have, or a file or a box that the run would refuse.
    """
    clip = graph.source(sampler, "source", VIDEO_SOURCE)
    is_region = clip is not None and clip["inputs"].get("work_on") == WORK_REGION
    if clip is None or not is_region:
        size = size_made(sampler, lambda: picture_size(graph, sampler))
        return Estimate() if size is None else Estimate(width=size.width_px, height=size.height_px)
    path = chosen_file(graph.source(clip, "video", "LoadVideo"), "file")
    video = None if path is None else open_source(path)
    made = size_made(sampler, lambda: region_size(graph.with_values(clip)["inputs"], video))
    region = (
        Estimate() if made is None else Estimate(region_width=made.width_px, region_height=made.height_px)
    )
    if video is None:
        return region
    whole = pasted_size(FrameSize(video.height_px, video.width_px))
    return replace(region, width=whole.width_px, height=whole.height_px)


def size_made(sampler: Node, shape: Callable[[], tuple[int, int] | None]) -> FrameSize | None:
    """The size at which windows are made: the widgets' own, or the one that goes with a picture's shape."""
    size, height, width = (sampler["inputs"].get(name) for name in ("size", "height", "width"))
    sized = video_size(size, height, width, None if size == CUSTOM_SIZE else shape())
    return None if sized is None else sized[0]


def region_size(inputs: Mapping[str, Any], video: SourceVideo | None) -> tuple[int, int] | None:
    """Height and width of what is seen of a box where the video begins; a mask tells it when it has run."""
    boxes, context, start_s = (inputs.get(name) for name in ("region_box", "context", "start_s"))
    if video is None or "region" in inputs or not isinstance(boxes, str) or not boxes.strip():
        return None
    if not isinstance(context, int | float) or not 0 <= context <= MAX_CONTEXT:
        return None
    if not isinstance(start_s, int | float) or not 0 <= start_s <= video.duration_s:
        return None
    clip = FrameSize(video.height_px, video.width_px)
    box = natural_box(track_of_cues(parse_boxes(boxes), clip).at(start_s), context, clip)
    return box.height, box.width


def picture_size(graph: SentGraph, sampler: Node) -> tuple[int, int] | None:
    """Height and width of the picture that decides the video's shape."""
    if "source" in sampler["inputs"]:
        clip = graph.source(sampler, "source", VIDEO_SOURCE)
        path = chosen_file(graph.source(clip, "video", "LoadVideo"), "file")
        if path is None:
            return None
        video = open_source(path)
        return video.height_px, video.width_px
    path = chosen_file(graph.source(sampler, "start_image", "LoadImage"), "image")
    return None if path is None else told_size(path)


def told_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture as it is seen, by its file's head; no pixel is decoded.

    Raises:
        InputError: it is not a picture, or claims more pixels than ComfyUI's own reader takes.
    """
    try:
        with open_plain(path) as file, Image.open(file) as picture:
            width_px, height_px = picture.size
            turned = picture.getexif().get(ORIENTATION_TAG) in TURNED
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"start_image: {path.name} claims to have more pixels than Pillow, which reads pictures here, "
            "takes. Choose a smaller one."
        ) from error
    except NO_PICTURE as error:
        raise InputError(f"start_image: {path.name} is not a picture. Choose another one.") from error
    return (width_px, height_px) if turned else (height_px, width_px)


def speech_seconds(graph: SentGraph, embeds: Node | None) -> float | None:
    """How long the speech lasts that is encoded."""
    speakers = graph.source(embeds, "speakers", "EverTalkSpeakers")
    if speakers is None:
        return sound_seconds(graph, embeds, "audio")
    inputs = speakers["inputs"]
    sockets = [name for name in inputs if name.startswith("audio_")]
    known = [sound_seconds(graph, speakers, name) for name in sockets]
    lengths = [seconds for seconds in known if seconds is not None]
    if not lengths or len(lengths) < len(known):
        return None
    return sum(lengths) if inputs.get("arrangement") == "add" else max(lengths)


def sound_seconds(graph: SentGraph, node: Node | None, name: str) -> float | None:
    """How long the sound at an input lasts, as its file's head says."""
    path = chosen_file(graph.source(node, name, *SOUND_LOADERS), "audio")
    seconds = None if path is None else told_seconds(path, name)
    if path is not None and seconds is not None and seconds > MAX_HOURS * 3600:
        raise too_long(name, path.name)
    return seconds


def told_seconds(path: Path, socket: str = "audio") -> float | None:
    """How long a sound lasts by its file's head, or None if that does not say.

    Args:
        path: the file.
        socket: which is named where it is refused.

    Raises:
        InputError: it is not a sound that FFmpeg knows, or claims too much.
    """
    try:
        check_claims(path, socket)
        with open_media(path) as container:
            stream = next(iter(container.streams.audio), None)
            if stream is not None and stream.duration is not None and stream.time_base is not None:
                return max(0.0, float(stream.duration * stream.time_base))
            return None if container.duration is None else max(0.0, container.duration / av.time_base)
    except (FFmpegError, OSError) as error:
        raise InputError(f"{socket}: {path.name} cannot be read as a sound; choose another file") from error


def chosen_file(loader: Node | None, widget: str) -> Path | None:
    """The file that a loader names, if there is one.

    Raises:
        InputError: its name leads out of the folders that the host shows.
    """
    name = None if loader is None else loader["inputs"].get(widget)
    if not isinstance(name, str) or not name:
        return None
    folders = (
        folder_paths.get_input_directory(),
        folder_paths.get_output_directory(),
        folder_paths.get_temp_directory(),
    )
    try:
        # Newer hosts refuse such a name here themselves; older ones join it to the folder.
        path = Path(os.path.normpath(folder_paths.get_annotated_filepath(name)))
        inside = any(path.is_relative_to(os.path.normpath(folder)) for folder in folders)
        if inside:
            return path if path.is_file() else None
    except (OSError, ValueError):
        pass  # no name of a file at all
    raise InputError(
        f"{widget}: {name[:SHOWN_NAME]!r} is not a file in ComfyUI's input, output or temp folder. Choose "
        "one that is."
    )


async def answer(request: web.Request) -> web.Response:
    """What a sampler's run will be, as JSON; 400 with a sentence when no graph came."""
    asked = _mapping(await json_of(request, "estimate"), "the request")
    sampler_id = asked.get("node")
    if not isinstance(sampler_id, str | int):
        raise RequestError(f"{EXPECTED}; node came as {type(sampler_id).__name__}")
    estimate = await worked_out("estimate", lambda: estimate_of(asked.get("prompt"), str(sampler_id)))
    return web.json_response(asdict(estimate))
