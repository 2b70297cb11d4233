"""What follows the sampler: decoding, saving, and nodes of other packs that use the frames."""

import re
from collections.abc import Sequence

from .constants import constant, number
from .foreign import copy_node
from .picture import clip_behind
from .sampler import PREFIX, Made
from .settings import account_for, frame_rate
from .soundtrack import set_soundtrack
from .source import Link, SourceNode
from .work import Work

COMBINE = "VHS_VideoCombine"
DECODERS = ("WanVideoDecode", "WanVideoPassImagesFromSamples")
CARRIED = ("images", "audio", "frame_rate", "filename_prefix", "format", "pingpong", "trim_to_audio")
H264 = "video/h264-mp4"
WIDGET_TOKEN = re.compile(r"%(?!date:)[^%]+\.[^%]+%")
"""Of a prefix: the editor puts the value of a node's widget in its place."""

CUT = "GetImageRangeFromBatch"
STARTS = ("start_index", "batch_index", "indexes", "selected_indexes")
"""What nodes call the first frame that they pick, or all of them."""

FIRST_INDEX = re.compile(r"\s*0+(?:\.0*)?\s*(?:[,:]|$)")
MAX_START, MAX_FRAMES = 4095, 4096
"""What ComfyUI's own node can cut out of a batch in every version."""

IMAGES, PATH = 0, 2
"""Outputs of EverTalk Decode."""


def decoded(work: Work, node: SourceNode, slot: int) -> Link | None:
    """The frames, or the path, of a sampler that was converted."""
    if node.kind == "WanVideoDecode":
        account_for(work, node, {"samples", "vae"})
        work.node_of(node.link("vae"))
    sampler = work.follow(node.link("samples"))
    decode = None if sampler is None else _decode_of(work, sampler)
    return None if decode is None else Link(decode, IMAGES if slot == 0 else PATH)


def frames_of(work: Work, node: SourceNode, slot: int) -> Link | None:
    """Some frames of a batch: of a clip its first, of the result the same, else whatever the node gives."""
    link = node.link("image") or node.link("images")
    if slot == 0 and clip_behind(work, link) is not None:
        _say_other_frame(work, node)
        return work.follow(link)
    frames = work.follow(link)
    is_missing = node.kind == CUT and not work.host.has(CUT)
    if slot != 0 or frames is None or not is_missing or not work.is_result(frames):
        return copy_node(work, node, slot)
    start, length = (int(number(work, node, name, 0)) for name in ("start_index", "num_frames"))
    if not 0 <= start <= MAX_START or not 1 <= length <= MAX_FRAMES:
        asked = f"start_index {start}, num_frames {length}"
        work.lost(node, f"{asked}: no such cut of the result is made; the whole of it is used")
        return frames
    work.changed(node, "becomes ComfyUI's own node that cuts frames out of the result")
    inputs: dict[str, object] = {"image": frames, "batch_index": start, "length": length}
    return Link(work.add("ImageFromBatch", node.title, inputs), 0)


def _say_other_frame(work: Work, node: SourceNode) -> None:
    """EverTalk Video Source gives the first frame of a clip alone."""
    for name in STARTS:
        value = node.inputs.get(name)
        start = constant(work, value)
        if value is not None and start is None:
            work.lost(node, f"{name} is computed by other nodes: of a clip the first frame is taken")
        elif value is not None and not FIRST_INDEX.match(str(start)):
            work.lost(node, f"{name} {start}: of a clip the first frame is taken")


def _decode_of(work: Work, sampler: Link) -> str | None:
    wanted = [sampler.node, sampler.slot]
    made = ((i, node) for i, node in work.made.items() if node["class_type"] == "EverTalkDecode")
    return next((i for i, node in made if node["inputs"]["samples"] == wanted), None)


def convert_ends(work: Work, samplers: Sequence[Made]) -> None:
    """Convert the nodes that nothing takes anything from: what saves or shows."""
    for node in work.source.nodes.values():
        if node.kind in DECODERS:
            work.seen.add(node.id)
            decoded(work, node, 0)
    for node in work.source.nodes.values():
        if node.kind == COMBINE:
            work.seen.add(node.id)
            _combine(work, node, samplers)
        elif node.id not in work.seen and not work.source.is_taken(node.id):
            _copy_end(work, node)


def _copy_end(work: Work, node: SourceNode) -> None:
    work.seen.add(node.id)
    if not node.links():
        work.needless(node, "it is connected to nothing that was converted; left out")
    elif work.hands_on(node):
        work.needless(node, "it hands on what it gets; left out")
    else:
        copy_node(work, node, 0)


def _combine(work: Work, node: SourceNode, samplers: Sequence[Made]) -> None:
    """Save the video; where nothing was done to the frames, the sampler has saved it already."""
    account_for(work, node, CARRIED)
    frames = work.follow(node.link("images"))
    made = next((one for one in samplers if frames == Link(one.decode, IMAGES)), None)
    rate = frame_rate(work, node, "frame_rate")
    if node.text("format", H264) != H264:
        work.changed(node, f"format {node.text('format')}: EverTalk Sampler writes H.264 in mp4")
    if node.inputs.get("pingpong"):
        work.lost(node, "pingpong has no counterpart")
    audio = work.follow(node.link("audio"))
    if made is None:
        _save(work, node, frames, audio, rate)
        return
    name_video(work, node, made)
    if audio is not None and node.inputs.get("trim_to_audio") is False:
        work.changed(
            node,
            "trim_to_audio off: the video there goes on in silence to the end of its last window; EverTalk's "
            "ends with its sound",
        )
    if audio is None:
        work.changed(node, "without audio there; EverTalk's video has its sound")
    elif not _is_heard(work, made, audio):
        set_soundtrack(work, node, made.embeds, audio)


def name_video(work: Work, node: SourceNode, made: Made) -> None:
    """Call the sampler's video as a node that saves it would, if it has no name yet and takes this one."""
    prefix = _prefix_of(work, node)
    if not prefix:
        work.needless(node, "EverTalk Sampler writes the video itself, with its sound")
        return
    name, problem = prefix.replace("\\", "/"), _problem(work, prefix)
    named = str(work.made[made.sampler]["inputs"]["filename_prefix"])
    if problem:
        work.lost(node, f"filename_prefix {prefix}: {problem}. EverTalk Sampler writes {named} instead")
    elif named in (PREFIX, name):
        work.set(made.sampler, "filename_prefix", name)
        work.needless(node, "EverTalk Sampler writes the video itself, with its sound, under this name")
    else:
        work.lost(
            node, f"filename_prefix {prefix}: EverTalk Sampler writes each video once, this one as {named}"
        )


def _prefix_of(work: Work, node: SourceNode) -> str:
    """The name that a node saves under; empty, and a remark, if only a run would tell."""
    prefix = constant(work, node.inputs.get("filename_prefix"))
    if prefix is None and node.link("filename_prefix"):
        work.lost(node, f"filename_prefix is computed by other nodes: {PREFIX} is used")
    return prefix if isinstance(prefix, str) else ""


def _problem(work: Work, prefix: str) -> str:
    """Why EverTalk Sampler cannot use a name; empty if it can."""
    if WIDGET_TOKEN.search(prefix):
        return "it has the value of a widget of a node that is another one now"
    return work.name_rule(prefix.replace("\\", "/"))


def _is_heard(work: Work, made: Made, audio: Link) -> bool:
    """Whether a sound is, but for its length, the one that was encoded."""
    if audio == Link(made.embeds.node, 1):
        return True
    inputs = work.made[made.embeds.node]["inputs"]
    return "audio" in inputs and _untrimmed(work, inputs["audio"]) == _untrimmed(
        work, [audio.node, audio.slot]
    )


def _untrimmed(work: Work, audio: list[object]) -> list[object]:
    node = work.made[str(audio[0])]
    return _untrimmed(work, node["inputs"]["audio"]) if node["class_type"] == "TrimAudioDuration" else audio


def _save(work: Work, node: SourceNode, frames: Link | None, audio: Link | None, rate: float) -> None:
    prefix = _prefix_of(work, node) or PREFIX
    if frames is None:
        work.lost(
            node, "left out, for nothing gives its frames any more; EverTalk Sampler saves what it makes"
        )
        return
    video = work.add("CreateVideo", "Create Video", {"images": frames, "audio": audio, "fps": rate})
    inputs = {"video": Link(video, 0), "filename_prefix": prefix, "format": "auto", "codec": "auto"}
    work.add("SaveVideo", node.title, inputs)
    work.changed(node, "becomes ComfyUI's Create Video and Save Video")
