"""What follows ComfyUI's own InfiniteTalk nodes: decoding, joining the parts, saving."""

from collections.abc import Sequence

from .constants import number
from .core_chain import TALK, upstream
from .core_sampler import CoreMade
from .core_speech import is_heard
from .foreign import copy_node
from .result import IMAGES, frames_of, name_video
from .settings import TILES, account_for, frame_rate
from .soundtrack import set_soundtrack
from .source import Link, SourceNode
from .work import Work

DECODERS = ("VAEDecode", "VAEDecodeTiled")
JOINERS = ("BatchImagesNode", "ImageBatch", "ImageBatchMulti", "ImageBatchExtendWithOverlap")
SAVE, CREATE = "SaveVideo", "CreateVideo"
BITS = 8
"""A channel, of what CreateVideo makes unless told otherwise, and of EverTalk's mp4."""

TRIM = 4
"""The output of the talk node that says how many frames were there before."""

SAME_FORMATS, SAME_CODECS = ("auto", "mp4"), ("auto", "h264")


def know_frames(work: Work, chains: Sequence[CoreMade]) -> None:
    """Put EverTalk Decode in place of the decoders of all parts."""
    for chain in chains:
        samplers = {part.sampler.id for part in chain.parts}
        for node in work.source.of_kind(*DECODERS):
            link = node.link("samples")
            if link is None or link.node not in samplers:
                continue
            work.seen.add(node.id)
            work.node_of(node.link("vae"))
            work.know(Link(node.id, 0), Link(chain.made.decode, IMAGES))
            if node.kind != DECODERS[0]:
                work.needless(node, TILES)


def joined(work: Work, node: SourceNode, slot: int) -> Link | None:
    """Parts that are put one after the other: one video already, or the node as it is."""
    links = [value for value in node.inputs.values() if isinstance(value, Link)]
    found = {work.follow(link) for link in links}
    only = found.pop() if len(found) == 1 else None
    if only is None or slot != 0 or not _is_video(work, only):
        return copy_node(work, node, slot)
    work.needless(node, "EverTalk Sampler joins the windows")
    return only


def trimmed(work: Work, node: SourceNode, slot: int) -> Link | None:
    """Frames without those that a part took over from the part before: EverTalk has none twice."""
    is_trim = any(
        isinstance(value, Link) and value.slot == TRIM and _is_talk(work, value)
        for value in node.inputs.values()
    )
    if not is_trim or slot != 0:
        return frames_of(work, node, slot)
    frames = work.follow(node.link("image") or node.link("images"))
    work.needless(node, "EverTalk Sampler cuts off what a window took over from the one before")
    return frames


def convert_saves(work: Work, chains: Sequence[CoreMade]) -> None:
    """Leave out what saves the frames as they are: EverTalk Sampler writes the video itself."""
    saves = work.source.of_kind(SAVE)
    behind = {save.id: {node.id for node in upstream(work, save)} for save in saves if chains}
    for chain in chains:
        last = chain.parts[-1].sampler
        for save in sorted(saves, key=lambda save: last.id not in behind[save.id]):
            create = work.node_of(save.link("video"))
            if create is None or create.kind != CREATE:
                continue
            if work.follow(create.link("images")) == Link(chain.made.decode, IMAGES):
                _saved(work, chain, save, create)


def _saved(work: Work, chain: CoreMade, save: SourceNode, create: SourceNode) -> None:
    work.seen.add(save.id)
    account_for(work, create, ("images", "audio", "fps", "bit_depth"))
    frame_rate(work, create, "fps")
    depth = number(work, create, "bit_depth", BITS)
    if depth != BITS:
        text = f"bit_depth {depth:g}: mp4 (h264) has 8; for more choose another format in EverTalk Sampler"
        work.lost(create, text)
    codec = save.text("format.codec") or save.text("codec", "auto")
    if save.text("format", "auto") not in SAME_FORMATS or codec not in SAME_CODECS:
        form = f"{save.text('format', 'auto')}, {codec}"
        work.changed(save, f"format {form}: EverTalk Sampler writes H.264 in mp4")
    sound = create.link("audio")
    if sound is None:
        work.changed(create, "without audio there; EverTalk's video has its sound")
    elif not is_heard(work, sound, chain.sounds):
        set_soundtrack(work, create, chain.made.embeds, work.follow(sound))
    name_video(work, save, chain.made)


def _is_video(work: Work, link: Link) -> bool:
    return link.slot == IMAGES and work.made[link.node]["class_type"] == "EverTalkDecode"


def _is_talk(work: Work, link: Link) -> bool:
    node = work.source.nodes.get(link.node)
    return node is not None and node.kind == TALK
