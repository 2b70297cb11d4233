"""What stands behind the sampler: decoding, saving, and nodes of other packs that use the frames."""

from collections.abc import Sequence

from .constants import constant, number
from .foreign import copy_node
from .remarks import Level
from .sampler import PREFIX, Made
from .settings import account_for
from .source import Link, SourceNode
from .work import Work

COMBINE = "VHS_VideoCombine"
DECODERS = ("WanVideoDecode", "WanVideoPassImagesFromSamples")
FPS = 25.0
CARRIED = ("images", "audio", "frame_rate", "filename_prefix", "format", "pingpong", "trim_to_audio")
H264 = "video/h264-mp4"
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
    links = [value for value in node.inputs.values() if isinstance(value, Link)]
    if not links:
        work.say(Level.NEEDLESS, node, "it is connected to nothing that was converted; left out")
        return
    work.seen.add(node.id)
    copy_node(work, node, 0)


def _combine(work: Work, node: SourceNode, samplers: Sequence[Made]) -> None:
    """Save the video; where nothing was done to the frames, the sampler has saved it already."""
    account_for(work, node, CARRIED)
    frames = work.follow(node.link("images"))
    made = next((one for one in samplers if frames == Link(one.decode, IMAGES)), None)
    prefix = constant(work, node.inputs.get("filename_prefix"))
    rate = number(work, node, "frame_rate", FPS)
    if rate != FPS:
        work.say(Level.LOST, node, f"frame_rate {rate:g}: EverTalk's videos have 25 frames a second")
    if node.text("format", H264) != H264:
        work.say(Level.CHANGED, node, f"format {node.text('format')}: EverTalk Sampler writes H.264 in mp4")
    if node.inputs.get("pingpong"):
        work.say(Level.LOST, node, "pingpong has no counterpart")
    audio = work.follow(node.link("audio"))
    if made is None:
        _save(work, node, frames, audio, str(prefix or PREFIX))
        return
    work.say(
        Level.NEEDLESS, node, "EverTalk Sampler writes the video itself, with its sound, under this name"
    )
    if isinstance(prefix, str) and prefix and work.made[made.sampler]["inputs"]["filename_prefix"] == PREFIX:
        work.set(made.sampler, "filename_prefix", prefix.replace("\\", "/"))
    if audio is not None and node.inputs.get("trim_to_audio") is False:
        work.say(
            Level.CHANGED,
            node,
            "trim_to_audio off: the video there goes on in silence to the end of its last window; EverTalk's "
            "ends with its sound",
        )
    if audio is None:
        work.say(Level.CHANGED, node, "without audio there; EverTalk's video has its sound")
    elif not _is_heard(work, made, audio):
        work.say(
            Level.CHANGED,
            node,
            "its audio is another than what the speech encoder hears; the video has the latter. For the "
            "other connect images of EverTalk Decode and that audio to Create Video, and it to Save Video",
        )


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


def _save(work: Work, node: SourceNode, frames: Link | None, audio: Link | None, prefix: str) -> None:
    if frames is None:
        work.say(
            Level.LOST,
            node,
            "left out, for nothing gives its frames any more; EverTalk Sampler saves what it makes",
        )
        return
    rate = number(work, node, "frame_rate", FPS)
    video = work.add("CreateVideo", "Create Video", {"images": frames, "audio": audio, "fps": rate})
    inputs = {"video": Link(video, 0), "filename_prefix": prefix, "format": "auto", "codec": "auto"}
    work.add("SaveVideo", node.title, inputs)
    work.say(Level.CHANGED, node, "becomes ComfyUI's Create Video and Save Video")
