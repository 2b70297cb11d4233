"""The prompts: text encoder, positive, negative, and one prompt a window."""

from dataclasses import dataclass, field

from .constants import constant
from .settings import FPS, account_for
from .source import Link, SourceNode
from .work import Work

CORE_ENCODER = "umt5_xxl_fp16.safetensors"
CORE_ENCODER_FP8 = "umt5_xxl_fp8_e4m3fn_scaled.safetensors"
ENCODERS = ("WanVideoTextEncode", "WanVideoTextEncodeCached", "WanVideoTextEncodeSingle")
NAG, BRIDGE = "WanVideoApplyNAG", "WanVideoTextEmbedBridge"
KINDS = (*ENCODERS, NAG, BRIDGE)
SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the sampler is told in words.

    Attributes:
        positive: the encoded prompt.
        negative: the encoded negative prompt, or None.
        texts: where there is one for each window, all of them.
        clip: the text encoder, or None where prompts come encoded.
    """

    positive: Link
    negative: Link | None = None
    texts: tuple[str, ...] = field(default=())
    clip: Link | None = None


def prompts_of(work: Work, value: object) -> Prompts:
    """The prompts that a sampler is given; an empty one, and a remark, where they are not known."""
    node = work.node_behind(value, KINDS)
    while node is not None and node.kind == NAG:
        work.lost(node, "normalized attention guidance (NAG) has no counterpart")
        node = work.node_behind(node.link("original_text_embeds"), KINDS)
    if node is not None and node.kind == BRIDGE:
        positive = work.follow(node.link("positive"))
        if positive is not None:
            return Prompts(positive, work.follow(node.link("negative")))
    if node is not None and node.kind in ENCODERS:
        return _encoded(work, node)
    work.lost(node, "where the prompt comes from is not known here: type it into the node Prompt")
    return Prompts(_encode(work, _load(work, CORE_ENCODER, node), "Prompt", ""))


def _encoded(work: Work, node: SourceNode) -> Prompts:
    names = ("prompt",) if node.kind == "WanVideoTextEncodeSingle" else ("positive_prompt", "negative_prompt")
    account_for(work, node, {*names, "t5", "model_name", "quantization"})
    clip = _text_encoder(work, node)
    positive, *negative = (_text(work, node.inputs.get(name, "")) for name in names)
    texts: tuple[str, ...] = ()
    if isinstance(positive, str) and SEPARATOR in positive:
        texts = tuple(part.strip() for part in positive.split(SEPARATOR))
        positive = texts[0]
    has_negative = bool(negative) and negative[0] != ""
    return Prompts(
        _encode(work, clip, "Prompt", positive),
        _encode(work, clip, "Negative prompt", negative[0]) if has_negative else None,
        texts,
        clip,
    )


def _text(work: Work, value: object) -> object:
    """A prompt: its text, or the link to a node that makes it."""
    found = constant(work, value)
    return found if isinstance(found, str) else (work.follow(value) or "")


def _text_encoder(work: Work, node: SourceNode) -> Link:
    loader = work.node_behind(node.link("t5"), ("LoadWanVideoT5TextEncoder",))
    if loader is not None:
        account_for(work, loader, {"model_name", "quantization"})
    named = loader or node
    name = named.text("model_name", "umt5-xxl-enc-bf16.safetensors")
    if name.replace("\\", "/").rpartition("/")[2].lower().startswith("umt5_xxl"):
        return _load(work, name, named)  # ComfyUI's own file already
    is_fp8 = "fp8" in name.lower() or named.text("quantization").startswith("fp8")
    wanted = CORE_ENCODER_FP8 if is_fp8 else CORE_ENCODER
    offered = work.host.choices("CLIPLoader", "clip_name") or []
    if wanted not in offered and CORE_ENCODER_FP8 in offered:
        wanted = CORE_ENCODER_FP8
    work.changed(named, f"{name} is in a form that ComfyUI's loader does not read: {wanted} is used")
    return _load(work, wanted, named)


def _load(work: Work, name: str, node: SourceNode | None) -> Link:
    file = name if node is None else work.file("CLIPLoader", "clip_name", name, node)
    inputs = {"clip_name": file, "type": "wan", "device": "default"}
    return Link(work.add("CLIPLoader", "Text encoder", inputs), 0)


def _encode(work: Work, clip: Link, title: str, text: object) -> Link:
    return Link(work.add("CLIPTextEncode", title, {"text": text, "clip": clip}), 0)


def prompt_schedule(work: Work, prompts: Prompts, window_frames: int, motion_frames: int) -> Link | None:
    """EverTalk Schedule with a prompt for each window; None where one prompt holds throughout."""
    if not prompts.texts:
        return None
    new_frames = window_frames - motion_frames
    starts = [0, *(window_frames + index * new_frames for index in range(len(prompts.texts) - 1))]
    lines = [f"{start / FPS:g}s: {_escaped(text)}" for start, text in zip(starts, prompts.texts, strict=True)]
    inputs = {"prompts": "\n".join(lines), "picture_times": "", "clip": prompts.clip}
    return Link(work.add("EverTalkSchedule", "EverTalk Schedule", inputs), 0)


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace(";", "\\;")
