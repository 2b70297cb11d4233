"""Nodes of other packs: kept where this ComfyUI has them, else handed through or left out."""

import math

from .constants import RESIZES, constant, number
from .source import Link, SourceNode, is_wrappers
from .work import Work

HANDED_THROUGH = {
    "ImageResizeKJv2": (
        "image",
        "EverTalk Sampler scales the picture to cover the video's size and cuts its middle",
    ),
    "ImageResizeKJ": (
        "image",
        "EverTalk Sampler scales the picture to cover the video's size and cuts its middle",
    ),
    "ImageResize+": (
        "image",
        "EverTalk Sampler scales the picture to cover the video's size and cuts its middle",
    ),
    "GetImageSizeAndCount": ("image", "the picture is handed on"),
    "GetImageRangeFromBatch": ("images", "the first picture is taken"),
    "AudioSeparation": ("audio", "the voice is not separated from music and noise; do that before"),
    "MelBandRoFormerSampler": ("audio", "the voice is not separated from music and noise; do that before"),
    "NormalizeAudioLoudness": ("audio", "EverTalk Audio Embeds normalizes to -23 LUFS for the encoder"),
}
"""For nodes that may be missing, the input that stands in for their first output, and what that means."""

SEPARATORS = ("AudioSeparation", "MelBandRoFormerSampler")
NORMALIZE = "NormalizeAudioLoudness"


def copy_node(work: Work, node: SourceNode, slot: int) -> Link | None:
    """The node itself, if this ComfyUI has it and it gets what it needs; else what comes closest, or None."""
    if node.kind in HANDED_THROUGH and (not work.host.has(node.kind) or node.kind == NORMALIZE):
        return _handed_through(work, node, slot)
    if is_wrappers(node.kind) or not work.host.has(node.kind):
        return _left_out(work, node, slot)
    inputs = {
        name: constant(work, value) if constant(work, value) is not None else work.follow(value)
        for name, value in node.inputs.items()
        if work.host.takes(node.kind, name)
    }
    lacking = [name for name in work.host.required(node.kind) if inputs.get(name) is None]
    if lacking:
        work.lost(node, f"left out: nothing gives its {', '.join(lacking)} any more")
        return None
    copied = work.add(node.kind, node.title, inputs)
    for other in range(16):  # all outputs belong to this one copy
        work.know(Link(node.id, other), Link(copied, other))
    return Link(copied, slot)


def _left_out(work: Work, node: SourceNode, slot: int) -> Link | None:
    """What a node that cannot be kept gets, if that is of the type it gives."""
    before = work.passed(Link(node.id, slot)) if work.source.is_taken(node.id) else None
    if before is None:
        work.lost(node, "this ComfyUI has no such node, and EverTalk no counterpart")
        return None
    work.lost(node, f"this ComfyUI has no such node: what it gets at {before.name} is used in its place")
    return work.follow(before.link)


def crop_audio(work: Work, node: SourceNode, slot: int) -> Link | None:
    """A cut of a sound given as minutes and seconds, made by ComfyUI's own node."""
    if work.host.has(node.kind):
        return copy_node(work, node, slot)
    audio = work.follow(node.link("audio"))
    if audio is None:
        return None
    start_s, end_s = (_seconds(node.text(name, "0:00")) for name in ("start_time", "end_time"))
    if math.isnan(start_s) or math.isnan(end_s) or end_s <= start_s:
        work.lost(node, "its times were not understood: the whole sound is used")
        return audio
    return trim_audio(work, audio, start_s, end_s - start_s)


def trim_audio(work: Work, audio: Link, start_s: float, duration_s: float) -> Link:
    """A part of a sound."""
    inputs = {"audio": audio, "start_index": start_s, "duration": round(duration_s, 4)}
    return Link(work.add("TrimAudioDuration", "Cut of the sound", inputs), 0)


def upload_audio(work: Work, node: SourceNode, slot: int) -> Link | None:
    """VideoHelperSuite's sound, as ComfyUI's own node loads it."""
    if slot != 0:
        return None
    loaded = Link(work.add("LoadAudio", node.title, {"audio": node.text("audio")}), 0)
    start_s, duration_s = number(work, node, "start_time", 0), number(work, node, "duration", 0)
    return trim_audio(work, loaded, start_s, duration_s or 1e6) if start_s or duration_s else loaded


def _handed_through(work: Work, node: SourceNode, slot: int) -> Link | None:
    if slot != 0 and node.kind not in SEPARATORS:  # its outputs are all sounds; the others' are numbers
        return None
    name, meaning = HANDED_THROUGH[node.kind]
    # Names differ between versions of these packs: take the first link if the usual one is missing.
    link = node.link(name) or next((value for value in node.inputs.values() if isinstance(value, Link)), None)
    before = work.follow(link)
    if before is not None and work.is_result(before) and node.kind in RESIZES:
        work.lost(node, "left out: the result keeps the size of the video")
        return before
    if node.kind in SEPARATORS:
        work.lost(node, f"left out: {meaning}")
    else:
        work.changed(node, f"left out: {meaning}")
    return before


def _seconds(text: str) -> float:
    """Seconds of `1:05` or `65`; NaN if it is neither."""
    parts = text.strip().split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return math.nan
    return sum(value * 60**power for power, value in enumerate(reversed(numbers)))
