"""Quantised layers: which the host at hand reads, and how it is told of them.

ComfyUI 0.3.75 has `comfy.ops.scaled_fp8_ops` for old scaled fp8, and makes nothing usable of remarks on
layers. Later releases (0.4.0 and on) read remarks as tensors, `LAYER.comfy_quant`,
and know more formats with time: what they know is in `comfy.quant_ops.QUANT_ALGOS`.
"""

import json
from collections.abc import Mapping
from typing import Any

import comfy.ops
import comfy.quant_ops
import comfy.utils
import comfyui_version
import torch
from torch import nn

from ....wanvideo.checkpoint_layout import SCALED_FP8_MARKER
from ....wanvideo.errors import CheckpointError
from ....wanvideo.quantised_layers import FP8_FORMATS, REMARK_SUFFIX, REMARKS, Marking, QuantisedLayer

Weights = dict[str, torch.Tensor]

FIRST_RELEASES = {
    "float8_e4m3fn": "0.4.0",
    "float8_e5m2": "0.7.0",
    "nvfp4": "0.7.0",
    "mxfp8": "0.17.0",
    "int8_tensorwise": "0.26.0",
    "convrot_w4a4": "0.27.0",
    "asym_w4a8_int8": "0.30.0",
}
"""The ComfyUI that first read a format, for messages."""

COMPUTED_IN = torch.float32
"""What the host takes the audio weights' own precision for. Nobody computes in it on a GPU, so weights are
taken back to the tokens' precision at each use, in every format, and tokens are never quantised."""


def reads_remarks() -> bool:
    """Whether the host finds remarks on layers among a file's tensors (from 0.4.0 on)."""
    return hasattr(comfy.utils, "convert_old_quants")


def host_formats() -> frozenset[str]:
    """The formats of quantised layers that the host computes with."""
    # Where comfy-kitchen is not installed, newer hosts list the formats all the same. 0.3.75 lists one, reads
    # it from a file's metadata, and gave NaN with it on a GPU (H200, in float16; not on a CPU).
    return frozenset(comfy.quant_ops.QUANT_ALGOS) if has_kitchen() and reads_remarks() else frozenset()


def has_kitchen() -> bool:
    """Whether the package that newer hosts leave quantised tensors to is there; older ones need none."""
    return bool(getattr(comfy.quant_ops, "_CK_AVAILABLE", True))


def unread_format(layers: Mapping[str, QuantisedLayer], *, is_audio: bool) -> str | None:
    """The first format among these layers that the host cannot read, or None."""
    known = host_formats()
    for layer in layers.values():
        with_scaled_ops = not reads_remarks() and (is_audio or layer.marking is Marking.OLD)
        if layer.format not in (FP8_FORMATS.values() if with_scaled_ops else known):
            return layer.format
    return None


def check_formats(file_name: str, layers: Mapping[str, QuantisedLayer], *, is_audio: bool) -> None:
    """Refuse weights that the host would misread.

    Raises:
        CheckpointError: a layer is quantised in a form that the host does not know.
    """
    unread = unread_format(layers, is_audio=is_audio)
    if unread is None:
        return
    here = comfyui_version.__version__
    if not has_kitchen():
        raise CheckpointError(
            f"`{file_name}` holds weights as {unread}, for which ComfyUI {here} needs the package "
            "`comfy-kitchen`. Run `pip install -r requirements.txt` in ComfyUI's folder with its Python, or "
            "choose a file in fp16, bf16 or plain fp8."
        )
    first = FIRST_RELEASES.get(unread)
    if first is None:
        raise CheckpointError(
            f"`{file_name}` holds weights as {unread}, which ComfyUI {here} cannot read. Update ComfyUI, or "
            "choose a file in fp16, bf16 or fp8."
        )
    raise CheckpointError(
        f"`{file_name}` holds weights as {unread}, which ComfyUI {here} cannot read. Update ComfyUI to "
        f"{first} or later, or choose a file in fp16, bf16 or fp8."
    )


def told(
    state: Weights, metadata: Mapping[str, str] | None, layers: Mapping[str, QuantisedLayer]
) -> dict[str, str]:
    """Mark quantised layers in `state`, in place, as hosts that read remarks do; the metadata to go with it.

    Args:
        state: weights by the names that `layers` has.
        metadata: the file's; its remarks are replaced.
        layers: the quantised layers in `state`.
    """
    kept = {name: text for name, text in (metadata or {}).items() if name != REMARKS}
    state.pop(SCALED_FP8_MARKER, None)
    for name, layer in layers.items():
        rename(state, f"{name}.scale_weight", f"{name}.weight_scale")
        rename(state, f"{name}.scale_input", f"{name}.input_scale")
        text = json.dumps(settings_of(layer)).encode()
        state[f"{name}{REMARK_SUFFIX}"] = torch.tensor(list(text), dtype=torch.uint8)
    return kept


def settings_of(layer: QuantisedLayer) -> dict[str, Any]:
    """The remark on a layer; no GPU multiplies e5m2 by e5m2, and the host would try at each call."""
    settings = dict(layer.settings)
    if layer.format == "float8_e5m2":
        settings["full_precision_matrix_mult"] = True
    return settings


def hold_quantised(model: nn.Module, state: Weights, layers: Mapping[str, QuantisedLayer]) -> None:
    """Put the host's own layers in place of those that are quantised, and name their weights as it does.

    Args:
        model: its linear layers are the host's plain ones; a layer that is not in `layers` stays.
        state: its weights by name, changed in place.
        layers: the quantised layers by name, of formats for which unread_format gives None.
    """
    if reads_remarks():
        told(state, None, layers)
    else:
        as_scaled_fp8(state, layers)
    operations = {layer.format: _operations(layer.format) for layer in layers.values()}
    for name, layer in layers.items():
        state.pop(f"{name}.input_scale", None)  # tokens are not quantised; see COMPUTED_IN
        above, _, last = name.rpartition(".")
        plain: Any = model.get_submodule(name)
        linear = operations[layer.format].Linear(plain.in_features, plain.out_features)
        setattr(model.get_submodule(above), last, linear)


def as_scaled_fp8(state: Weights, layers: Mapping[str, QuantisedLayer]) -> None:
    """Name the weights of fp8 layers with one scale a matrix in the old form, in place."""
    state.pop(SCALED_FP8_MARKER, None)
    for name in layers:
        rename(state, f"{name}.weight_scale", f"{name}.scale_weight")
        scale = state[f"{name}.scale_weight"]
        state[f"{name}.scale_weight"] = scale.float().reshape(())
        for unused in ("scale_input", "input_scale", REMARK_SUFFIX.removeprefix(".")):
            state.pop(f"{name}.{unused}", None)


def rename(state: Weights, old: str, new: str) -> None:
    """Give a tensor, if it is there, another name."""
    if old in state:
        state[new] = state.pop(old)


def form_of(linear: Any) -> str | None:
    """The format that a layer of the host's is quantised in, or None; hosts that read remarks name it."""
    return getattr(linear, "quant_format", None)


def _operations(format_name: str) -> Any:
    """The host's layers for weights in this format."""
    if reads_remarks():
        return comfy.ops.mixed_precision_ops({"mixed_ops": True}, COMPUTED_IN, full_precision_mm=True)
    return comfy.ops.scaled_fp8_ops(override_dtype=getattr(torch, format_name))
