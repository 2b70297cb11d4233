"""The MODEL: base, audio weights, LoRAs, attention, precision."""

from .errors import ConvertError
from .loras import NONE, Lora, loras_of
from .settings import account_for
from .source import Link, SourceNode
from .work import Work

LOADER = "WanVideoModelLoader"
TALK_LOADER = "MultiTalkModelLoader"
GGUF = ".gguf"
GGUF_LOADER = "UnetLoaderGGUF"
MAX_LORA_STRENGTH = 10.0
FULL_PRECISION = "fp32"
"""The one base_precision that is kept: of the halves the loader takes the faster one."""

SAME_ATTENTION = ("sdpa", "flash_attn_2", "flash_attn_3", "sageattn", "sageattn_3", "sageattn_3_fp4", "comfy")
SAGE_KINDS = ("sageattn_compiled", "sageattn_ultravico", "radial_sage_attention")

QUANTIZATIONS = {
    "disabled": "as stored",
    "fp8_e4m3fn": "fp8_e4m3fn",
    "fp8_e4m3fn_fast": "fp8_e4m3fn_fast",
    "fp8_e5m2": "fp8_e5m2",
    "fp8_e4m3fn_scaled": "as stored",
    "fp8_e5m2_scaled": "as stored",
}
NEAR_QUANTIZATIONS = {
    "fp8_e4m3fn_fast_no_ffn": "fp8_e4m3fn_fast",
    "fp8_e4m3fn_scaled_fast": "as stored",
    "fp8_e5m2_fast": "fp8_e5m2",
    "fp8_e5m2_scaled_fast": "as stored",
}

SETTERS = {
    "WanVideoSetLoRAs": ("model", "lora"),
    "WanVideoSetBlockSwap": ("model", "block_swap_args"),
}
"""Nodes that a model goes through, and what they take."""


def talking_model(work: Work, sampler: SourceNode, mode: str) -> Link:
    """The MODEL with audio weights that a sampler is given.

    Raises:
        ConvertError: there is no model, or no audio weights.
    """
    node, loras = _before(work, sampler), list[Lora]()
    while node.kind != LOADER:
        if "model" not in node.inputs:
            raise ConvertError(f"{node.name}: {LOADER} is expected where the sampler gets its model")
        loras = loras_of(work, node.link("lora")) + loras
        account_for(work, node, SETTERS.get(node.kind, ("model",)))
        if node.kind not in SETTERS:
            work.lost(node, "what it does to the model has no counterpart")
        node = _before(work, node)
    loras = loras_of(work, node.link("lora")) + loras
    return _load(work, node, loras, mode)


def _before(work: Work, node: SourceNode) -> SourceNode:
    """The node that gives a node its model."""
    found = work.node_of(node.link("model"))
    if found is not None and "model" in found.inputs:
        return found
    return work.needed(node, "model", LOADER, (LOADER, *SETTERS))


def _load(work: Work, node: SourceNode, loras: list[Lora], mode: str) -> Link:
    talk_node = work.node_behind(node.link("multitalk_model"), (TALK_LOADER,))
    if talk_node is None:
        raise ConvertError(
            f"{node.name}: no audio weights are connected to multitalk_model, so this is not an InfiniteTalk "
            "or MultiTalk workflow. Connect Multi/InfiniteTalk Model Loader, or use ComfyUI's own Wan nodes"
        )
    base, talk = node.text("model"), talk_node.text("model")
    compiled = work.node_of(node.link("compile_args"))
    carried = {"model", "quantization", "attention_mode", "compile_args", "lora", "multitalk_model"}
    is_full = node.inputs.get("base_precision") == FULL_PRECISION
    if is_full:
        carried.add("base_precision")
    account_for(work, node, carried)
    account_for(work, talk_node, {"model"})
    talking: dict[str, object] = {
        "talk_model": talk,
        "mode": mode,
        "attention_mode": _attention(work, node),
        "compile_blocks": compiled is not None,
    }
    if is_full:
        talking["compute"] = "float32"
    if compiled is not None:
        say_compiled(work, compiled)
    if base.lower().endswith(GGUF):
        return _through_gguf(work, node, loras, talking)
    first, others = (
        (loras[0], loras[1:]) if loras and abs(loras[0].strength) <= MAX_LORA_STRENGTH else (None, loras)
    )
    talking["talk_model"] = work.file("EverTalkModelLoader", "talk_model", talk, talk_node)
    inputs: dict[str, object] = {
        "base_model": work.file("EverTalkModelLoader", "base_model", base, node),
        **talking,
        "quantization": _quantization(work, node),
        "lora": work.file("EverTalkModelLoader", "lora", first.name, first.node) if first else NONE,
        "lora_strength": first.strength if first else 1.0,
    }
    return _with_loras(
        work, Link(work.add("EverTalkModelLoader", "EverTalk Model Loader", inputs), 0), others
    )


def _through_gguf(work: Work, node: SourceNode, loras: list[Lora], talking: dict[str, object]) -> Link:
    """A quantized base model comes from the node pack ComfyUI-GGUF; the audio weights are put on it after."""
    say_gguf(work, node)
    if node.text("quantization", "disabled") != "disabled":
        work.lost(node, f"quantization {node.text('quantization')}: a GGUF file has its own")
    name = work.file(GGUF_LOADER, "unet_name", node.text("model"), node)
    loaded = Link(work.add(GGUF_LOADER, "Base model (GGUF)", {"unet_name": name}), 0)
    talk_node = work.node_behind(node.link("multitalk_model"), (TALK_LOADER,)) or node
    talking["talk_model"] = work.file("EverTalkApply", "talk_model", str(talking["talk_model"]), talk_node)
    model = _with_loras(work, loaded, loras)
    return Link(work.add("EverTalkApply", "EverTalk Apply", {"model": model, **talking}), 0)


def say_gguf(work: Work, node: SourceNode) -> None:
    """Say what loads a base model that is a GGUF file."""
    work.changed(
        node,
        f"the base model is a GGUF file: {GGUF_LOADER} loads it"
        if work.host.has(GGUF_LOADER)
        else f"the base model is a GGUF file: {GGUF_LOADER} loads it; install the node pack ComfyUI-GGUF, "
        "which this ComfyUI lacks",
    )


def _with_loras(work: Work, model: Link, loras: list[Lora]) -> Link:
    for lora in loras:
        name = work.file("LoraLoaderModelOnly", "lora_name", lora.name, lora.node)
        inputs = {"model": model, "lora_name": name, "strength_model": lora.strength}
        model = Link(work.add("LoraLoaderModelOnly", "LoRA", inputs), 0)
    return model


def _attention(work: Work, node: SourceNode) -> str:
    asked = node.text("attention_mode", "sdpa")
    if asked in SAME_ATTENTION:
        return asked
    nearest = "sageattn" if asked in SAGE_KINDS else "auto"
    work.changed(node, f"attention_mode {asked} does not exist here: {nearest} is used")
    return nearest


def _quantization(work: Work, node: SourceNode) -> str:
    asked = node.text("quantization", "disabled")
    if asked in QUANTIZATIONS:
        return QUANTIZATIONS[asked]
    nearest = NEAR_QUANTIZATIONS.get(asked, "as stored")
    work.changed(node, f"quantization {asked} does not exist here: {nearest} is used")
    return nearest


def say_compiled(work: Work, node: SourceNode) -> None:
    """Say what becomes of a node that compiles the model."""
    work.changed(node, "becomes compile_blocks of the loader, with torch.compile's own defaults for the rest")
