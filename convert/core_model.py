"""The MODEL of ComfyUI's own InfiniteTalk nodes: loader, LoRAs, patches, audio weights, shift."""

from dataclasses import dataclass, replace

from .constants import number
from .core_chain import Part
from .errors import ConvertError
from .foreign import copy_node
from .model import GGUF_LOADER, say_compiled, say_gguf
from .sampler import SHIFTS
from .settings import account_for, fitting
from .source import Link, SourceNode
from .work import Work

LOADER, PATCH_LOADER = "UNETLoader", "ModelPatchLoader"
SHIFT = "ModelSamplingSD3"
USUAL_SHIFT = 8.0
"""Of Wan 2.1 in ComfyUI (comfy/supported_models.py), where no node sets it."""

COMPILERS = ("TorchCompileModel", "TorchCompileModelWanVideo", "TorchCompileModelWanVideoV2")
"""Nodes that compile a model, ComfyUI's and KJNodes'."""

MAX_NODES = 1000
"""That a model goes through; more of them are a circle."""

FILE_FIELDS = {
    "CLIPLoader": "clip_name",
    "LoraLoader": "lora_name",
    "LoraLoaderModelOnly": "lora_name",
    "VAELoader": "vae_name",
}
"""ComfyUI's loaders that stay as they are, and the field with their file."""


@dataclass(frozen=True, slots=True)
class TalkingModel:
    """A MODEL with audio weights.

    Attributes:
        model: what gives it.
        shift: of the noise levels.
    """

    model: Link
    shift: float


def core_model(work: Work, part: Part, last: Link | None) -> TalkingModel:
    """The MODEL that a part is sampled with: audio weights first, then all that was put on it.

    Args:
        work: the conversion.
        part: the part.
        last: what the sampler gets as its model.

    Raises:
        ConvertError: there is no model or there are no audio weights.
    """
    loader, *others = _way(work, part, last)
    compilers = [node for node in others if node.kind in COMPILERS]
    for node in compilers:
        say_compiled(work, node)
    talk: dict[str, object] = {"mode": "infinitetalk", "attention_mode": "auto"}
    talk["compile_blocks"] = bool(compilers)
    patch = work.needed(part.talk, "model_patch", PATCH_LOADER, (PATCH_LOADER,))
    if patch.kind != PATCH_LOADER:
        raise ConvertError(f"{patch.name}: expected {PATCH_LOADER} at model_patch of {part.talk.name}")
    kind = "EverTalkModelLoader" if loader.kind == LOADER else "EverTalkApply"
    talk["talk_model"] = work.file(kind, "talk_model", patch.text("name"), patch)
    model = _base(work, loader, talk) if loader.kind == LOADER else _any_loader(work, loader)
    shift = USUAL_SHIFT
    for node in others:
        link = node.link("model")
        if link is not None:
            work.know(work.origin(link), model)
        if node.kind == SHIFT:
            shift = fitting(work, node, "shift", number(work, node, "shift", USUAL_SHIFT), SHIFTS)
        elif node not in compilers:
            model = work.follow(Link(node.id, 0)) or model
    if loader.kind != LOADER:
        model = Link(work.add("EverTalkApply", "EverTalk Apply", {"model": model, **talk}), 0)
    return TalkingModel(model, round(shift, 3))


def copy_loader(work: Work, node: SourceNode, slot: int) -> Link | None:
    """One of ComfyUI's loaders, with its file as this ComfyUI lists it."""
    field = FILE_FIELDS[node.kind]
    file = work.file(node.kind, field, node.text(field), node)
    return copy_node(work, replace(node, inputs={**node.inputs, field: file}), slot)


def _way(work: Work, part: Part, last: Link | None) -> list[SourceNode]:
    """The nodes that the model goes through, its loader first, without the talk node itself."""
    way: list[SourceNode] = []
    node = work.node_of(last)
    while node is not None and len(way) < MAX_NODES:
        if node.id != part.talk.id:
            way.insert(0, node)
        node = work.node_of(node.link("model"))
    if not way or node is not None or last is None:
        raise ConvertError(
            f"{part.talk.name}: nothing is connected to model; connect Load Diffusion Model and convert again"
        )
    return way


def _base(work: Work, loader: SourceNode, talk: dict[str, object]) -> Link:
    account_for(work, loader, ("unet_name", "weight_dtype"))
    precision = loader.text("weight_dtype", "default")
    inputs: dict[str, object] = {
        "base_model": work.file("EverTalkModelLoader", "base_model", loader.text("unet_name"), loader),
        **talk,
        "quantization": "as stored" if precision == "default" else precision,
        "lora": "none",
        "lora_strength": 1.0,
    }
    return Link(work.add("EverTalkModelLoader", "EverTalk Model Loader", inputs), 0)


def _any_loader(work: Work, loader: SourceNode) -> Link:
    if loader.kind == GGUF_LOADER and not work.host.has(GGUF_LOADER):
        say_gguf(work, loader)
        return Link(work.add(GGUF_LOADER, loader.title, {"unet_name": loader.text("unet_name")}), 0)
    model = work.follow(Link(loader.id, 0))
    if model is None:
        raise ConvertError(
            f"{loader.name}: what gives the model is not known here; connect Load Diffusion Model and "
            "convert again"
        )
    return model
