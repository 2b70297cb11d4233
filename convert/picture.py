"""The picture, or the clip that is dubbed, and what CLIP sees of it."""

import re

from .constants import number
from .foreign import copy_node
from .settings import account_for
from .source import Link, SourceNode
from .widgets import names_of
from .work import Work

VIDEO_LOADERS = ("VHS_LoadVideo", "VHS_LoadVideoPath", "VHS_LoadVideoFFmpeg", "VHS_LoadVideoFFmpegPath")
ON_THE_WAY = (
    "ImageResizeKJv2",
    "ImageResizeKJ",
    "ImageResize+",
    "GetImageSizeAndCount",
    "ImageScale",
    "VAEEncode",
)
"""Nodes that keep all frames of a clip."""

CLIP_LOADERS = (*VIDEO_LOADERS, "GetVideoComponents")
PICKS_FRAMES = re.compile("batch|select|index|range|first|last|split|frame", re.IGNORECASE)
"""In the names of nodes that may give some frames of a clip, or others, and not each of them."""

FIRST_OF = ("GetImageRangeFromBatch", "GetImagesFromBatchIndexed", "ImageFromBatch", "ImageSelector")
CLIP_FIELDS = names_of(
    "video force_rate skip_first_frames frame_load_cap select_every_nth custom_width custom_height format"
)
FIRST_FRAME, VIDEO_AUDIO = 2, 1
"""Outputs of EverTalk Video Source."""

CLIP_VISION = "clip_vision_h.safetensors"


def fitted_picture(work: Work, value: object) -> Link | None:
    """The start picture, without a resize that the sampler does just so itself."""
    node = work.node_of(value)
    if node is not None and node.kind == "GetImageSizeAndCount":
        return fitted_picture(work, node.link("image"))
    is_cover = (
        node is not None and node.kind == "ImageResizeKJv2" and node.inputs.get("keep_proportion") == "crop"
    )
    if node is not None and is_cover and node.text("crop_position", "center") == "center":
        work.needless(node, "EverTalk Sampler scales the picture to cover the size and cuts its middle")
        return work.follow(node.link("image"))
    return work.follow(value)


def clip_behind(work: Work, value: object) -> SourceNode | None:
    """The node that loads the clip whose frames all come over a link; None if it is a picture."""
    return _way_to_clip(work, value)[0]


def _way_to_clip(work: Work, value: object) -> tuple[SourceNode | None, list[SourceNode]]:
    """The node that loads a clip, None if it is a picture; and the unknown nodes on the way of its frames."""
    between: list[SourceNode] = []
    for _ in work.source.nodes:  # no longer than a circle
        node = work.node_of(value)
        if node is None or node.kind in CLIP_LOADERS:
            return node, between
        if node.kind in ON_THE_WAY:
            value = node.link("image") or node.link("images") or node.link("pixels")
            continue
        before = None if PICKS_FRAMES.search(node.kind) or not isinstance(value, Link) else work.passed(value)
        if before is None:
            return None, []
        between.append(node)
        value = before.link
    return None, []


def dubbed(work: Work, clip: SourceNode, frames: Link | None, denoise: float) -> Link:
    """EverTalk Video Source of a clip whose frames come over a link, for the sampler's source."""
    for node in _way_to_clip(work, frames)[1]:
        work.lost(node, "what it does to the clip's frames has no counterpart; left out")
    source = _source_of(work, clip)
    work.set(source, "denoise", round(denoise, 2))
    return Link(source, 0)


def load_video(work: Work, node: SourceNode, slot: int) -> Link | None:
    """VideoHelperSuite's clip: its first frame or its sound; what takes all frames asks `dubbed` for them."""
    source = _source_of(work, node)
    if slot == 0:
        return Link(source, FIRST_FRAME)
    return Link(source, VIDEO_AUDIO) if slot == 2 else None


def video_components(work: Work, node: SourceNode, slot: int) -> Link | None:
    """The first frame or the sound of ComfyUI's own VIDEO."""
    source = _source_of(work, node)
    return Link(source, (FIRST_FRAME, VIDEO_AUDIO)[slot]) if slot < 2 else None


def _source_of(work: Work, node: SourceNode) -> str:
    known = work.made_for(node)
    if known is not None:
        return known
    if node.kind == "GetVideoComponents":
        video, start_s = work.follow(node.link("video")), 0.0
    else:
        account_for(work, node, CLIP_FIELDS)
        name = node.text("video").replace("\\", "/")
        if node.kind.endswith("Path"):
            name = name.rpartition("/")[2]
            work.changed(node, f"ComfyUI loads clips from its input folder: put {name} there")
        video, start_s = Link(work.add("LoadVideo", "Clip", {"file": name}), 0), _start_s(work, node)
    inputs: dict[str, object] = {
        "video": video,
        "scene_cuts": "off",
        "cut_threshold": 27.0,
        "denoise": 1.0,
        "feather_px": 16,
        "start_s": start_s,
    }
    return work.remember(node, work.add("EverTalkVideoSource", "EverTalk Video Source", inputs))


def _start_s(work: Work, node: SourceNode) -> float:
    skipped, rate = number(work, node, "skip_first_frames", 0), number(work, node, "force_rate", 0)
    if number(work, node, "frame_load_cap", 0):
        work.changed(node, "frame_load_cap: the video lasts as long as the speech")
    if number(work, node, "select_every_nth", 1) != 1:
        work.lost(node, "select_every_nth: the clip plays at its own speed")
    if rate not in (0, 25):
        work.lost(node, f"force_rate {rate:g}: EverTalk's videos have 25 frames a second, found by time")
    if number(work, node, "custom_width", 0) or number(work, node, "custom_height", 0):
        work.needless(node, "custom_width, custom_height: the sampler fits the clip to the video's size")
    if skipped and not rate:
        work.changed(node, f"skip_first_frames {skipped:g} at the clip's own rate: taken as 25 a second")
    return round(skipped / (rate or 25), 2)


def see_picture(work: Work, node: SourceNode, slot: int) -> Link | None:
    """What CLIP sees of a picture."""
    account_for(work, node, {"clip_vision", "image_1", "crop"})
    vision, image = work.follow(node.link("clip_vision")), fitted_picture(work, node.link("image_1"))
    if vision is None or image is None or slot != 0:
        work.lost(node, "its picture or its CLIP vision is not known here")
        return None
    crop = "center" if node.text("crop", "center") == "center" else "none"
    inputs = {"clip_vision": vision, "image": image, "crop": crop}
    return Link(work.add("CLIPVisionEncode", "View of the picture", inputs), 0)


def load_clip_vision(work: Work, node: SourceNode, slot: int) -> Link | None:
    """ComfyUI's loader, or WanVideoWrapper's, whose file is another."""
    if node.kind == "CLIPVisionLoader":
        name = work.file(node.kind, "clip_name", node.text("clip_name"), node)
        return Link(work.add(node.kind, "CLIP vision", {"clip_name": name}), slot)
    account_for(work, node, {"model_name"})
    work.changed(node, f"{node.text('model_name')} becomes {CLIP_VISION}, which ComfyUI's loader reads")
    name = work.file("CLIPVisionLoader", "clip_name", CLIP_VISION, node)
    return Link(work.add("CLIPVisionLoader", "CLIP vision", {"clip_name": name}), slot)


def resize(work: Work, node: SourceNode, slot: int) -> Link | None:
    """A resize of a clip's frames is needless; of a picture it is kept where it can be."""
    clip = clip_behind(work, node.link("image"))
    return work.follow(node.link("image")) if clip is not None and slot == 0 else copy_node(work, node, slot)


def load_vae(work: Work, node: SourceNode, slot: int) -> Link | None:
    """WanVideoWrapper's VAE loader becomes ComfyUI's."""
    account_for(work, node, {"model_name"})
    name = work.file("VAELoader", "vae_name", node.text("model_name"), node)
    return Link(work.add("VAELoader", "VAE", {"vae_name": name}), slot)
