"""The conversion of a workflow of WanVideoWrapper, or of ComfyUI's own nodes, into one of EverTalk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .core_chain import TALK, chains_of
from .core_model import FILE_FIELDS, copy_loader
from .core_result import JOINERS, convert_saves, joined, know_frames, trimmed
from .core_sampler import convert_chain, talk_output
from .errors import ConvertError
from .foreign import copy_node, crop_audio, upload_audio
from .host_nodes import HostNodes
from .picture import (
    FIRST_OF,
    VIDEO_LOADERS,
    load_clip_vision,
    load_vae,
    load_video,
    resize,
    see_picture,
    video_components,
)
from .read import DAMAGE, read_workflow
from .remarks import Remark
from .result import DECODERS, convert_ends, decoded
from .sampler import convert_sampler
from .work import NameRule, Translator, Work, no_rule

SAMPLER = "WanVideoSampler"

TRANSLATORS: dict[str, Translator] = {
    **dict.fromkeys(DECODERS, decoded),
    **dict.fromkeys(VIDEO_LOADERS, load_video),
    **dict.fromkeys(FILE_FIELDS, copy_loader),
    **dict.fromkeys(FIRST_OF, trimmed),
    **dict.fromkeys(JOINERS, joined),
    TALK: talk_output,
    **dict.fromkeys(("ImageResizeKJv2", "ImageResizeKJ", "ImageResize+"), resize),
    **dict.fromkeys(("CLIPVisionLoader", "LoadWanVideoClipTextEncoder"), load_clip_vision),
    "AudioCrop": crop_audio,
    "GetVideoComponents": video_components,
    "VHS_LoadAudioUpload": upload_audio,
    "WanVideoClipVisionEncode": see_picture,
    "WanVideoVAELoader": load_vae,
}
"""What becomes of nodes whose outputs others take; the sampler asks for the rest by name."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A workflow that was converted.

    Attributes:
        workflow: the new one, in API format.
        remarks: what was not carried over as it was, losses first.
    """

    workflow: dict[str, Any]
    remarks: tuple[Remark, ...]


def convert(workflow: object, object_info: Mapping[str, Any], name_rule: NameRule = no_rule) -> Conversion:
    """Convert a workflow of WanVideoWrapper, or of ComfyUI's own nodes, that makes a talking video.

    Args:
        workflow: parsed JSON: the editor's form, the API's, or the body of a request to /prompt.
        object_info: what the ComfyUI that is to run it answers at /object_info.
        name_rule: what EverTalk Sampler takes as a filename_prefix.

    Raises:
        ConvertError: it is not such a workflow; says why and what to do.
    """
    host = HostNodes.of(object_info)
    source = read_workflow(workflow, host)
    try:
        return _converted(Work(source, host, TRANSLATORS, copy_node, name_rule))
    except ConvertError:
        raise
    except DAMAGE as error:
        raise ConvertError(
            f"workflow: got values that no node of WanVideoWrapper saves ({error!r}); open it in ComfyUI, "
            "look at its widgets, save it and convert again"
        ) from error


def _converted(work: Work) -> Conversion:
    """What `convert` gives for the nodes that were read."""
    source = work.source
    samplers = source.of_kind(SAMPLER)
    if not samplers and not source.of_kind(TALK):
        raise ConvertError(
            f"workflow: it has no {SAMPLER} and no {TALK} that runs, in its subgraphs either, so there is "
            "nothing to convert. Choose a workflow of WanVideoWrapper, or of ComfyUI's own InfiniteTalk "
            "nodes, that makes a talking video"
        )
    made = [convert_sampler(work, sampler) for sampler in samplers]
    chains = [convert_chain(work, parts) for parts in chains_of(work)]
    know_frames(work, chains)
    convert_saves(work, chains)
    convert_ends(work, [*made, *(chain.made for chain in chains)])
    for node in source.nodes.values():
        if node.id not in work.seen:
            work.needless(node, "nothing that was converted takes anything from it; left out")
    if source.left_out:
        work.needless(None, f"notes and nodes that are switched off: {', '.join(source.left_out)}")
    return Conversion(work.made, work.remarks)
