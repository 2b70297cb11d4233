"""Writes model files in the forms in which quantised weights are in circulation, out of plain ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Weights = dict[str, torch.Tensor]

LAYOUTS = {
    "float8_e4m3fn": ("TensorCoreFP8E4M3Layout", {"scale": "recalculate"}),
    "float8_e5m2": ("TensorCoreFP8E5M2Layout", {"scale": "recalculate"}),
    "nvfp4": ("TensorCoreNVFP4Layout", {}),
    "mxfp8": ("TensorCoreMXFP8Layout", {}),
    "int8_tensorwise": ("TensorWiseINT8Layout", {"per_channel": True}),
    "convrot_w4a4": ("TensorCoreConvRotW4A4Layout", {}),
    "asym_w4a8_int8": ("AsymW4A8Int8Layout", {}),
}
"""The host's layout of each format, and what it is told when it quantises."""

GREATEST = {"float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}


def in_blocks(name: str) -> bool:
    """The layers that most published files quantise."""
    return name.startswith("blocks.")


def wide_in_blocks(name: str) -> bool:
    """Layers with as many inputs as the rotations of 4-bit formats need; in the tiny audio weights too."""
    return in_blocks(name) and not name.endswith("kv_linear")


def everywhere(name: str) -> bool:
    """The layers of files whose every matrix is quantised."""
    del name
    return True


def split(source: Path, wanted: Callable[[str], bool]) -> tuple[Weights, Weights]:
    """The matrices of wanted layers by the layer's name, and all other weights."""
    matrices: Weights = {}
    others: Weights = {}
    for name, value in load_file(source).items():
        layer = name.removesuffix(".weight")
        if value.ndim == 2 and layer != name and wanted(layer):
            matrices[layer] = value
        else:
            others[name] = value
    return matrices, others


def prefixed(weights: Weights, prefix: str) -> Weights:
    return {prefix + name: value.contiguous() for name, value in weights.items()}


def plain(source: Path, path: Path, dtype: torch.dtype, prefix: str = "") -> Path:
    """All weights in one type."""
    save_file(prefixed({name: v.to(dtype) for name, v in load_file(source).items()}, prefix), path)
    return path


def old_scaled(
    source: Path,
    path: Path,
    format_name: str = "float8_e4m3fn",
    wanted: Callable[[str], bool] = in_blocks,
    prefix: str = "",
    others_as: torch.dtype = torch.float16,
) -> Path:
    """Scaled fp8 in its old form: a marker, and `scale_weight` beside each scaled matrix."""
    matrices, others = split(source, wanted)
    dtype: torch.dtype = getattr(torch, format_name)
    weights = {name: value.to(others_as) for name, value in others.items()}
    for layer, value in matrices.items():
        scale = value.float().abs().max() / GREATEST[format_name]
        weights[f"{layer}.weight"] = (value.float() / scale).to(dtype)
        weights[f"{layer}.scale_weight"] = scale
    weights["scaled_fp8"] = torch.zeros(2).to(dtype)
    save_file(prefixed(weights, prefix), path)
    return path


def without_remark(source: Path, path: Path) -> Path:
    """Scaled fp8 whose scales have the new name, and nothing says how to use them."""
    matrices, weights = split(source, in_blocks)
    for layer, value in matrices.items():
        scale = value.float().abs().max() / GREATEST["float8_e4m3fn"]
        weights[f"{layer}.weight"] = (value.float() / scale).to(torch.float8_e4m3fn)
        weights[f"{layer}.weight_scale"] = scale
    save_file(prefixed(weights, ""), path)
    return path


def remarked(
    source: Path,
    path: Path,
    format_name: str,
    wanted: Callable[[str], bool] = in_blocks,
    prefix: str = "",
    *,
    in_metadata: bool = False,
) -> Path:
    """The form of 2026, in any of its formats; all but fp8 by the host's own package, comfy-kitchen."""
    matrices, others = split(source, wanted)
    weights = {name: value.half() for name, value in others.items()}
    remark: dict[str, Any] = {"format": format_name}
    for layer, value in matrices.items():
        quantised, settings = _quantised(value, format_name)
        weights |= {f"{layer}.{name}": stored for name, stored in quantised.items()}
        remark |= settings
        if not in_metadata:
            weights[f"{layer}.comfy_quant"] = torch.tensor(
                list(json.dumps(remark).encode()), dtype=torch.uint8
            )
    layers = dict.fromkeys(matrices, remark)
    metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    save_file(prefixed(weights, prefix), path, metadata if in_metadata else None)
    return path


def unwritable(source: Path, path: Path, format_name: str) -> Path:
    """A file in a format that nothing here can write: as many bytes as nvfp4 has, all zero."""
    matrices, weights = split(source, in_blocks)
    remark = torch.tensor(list(json.dumps({"format": format_name}).encode()), dtype=torch.uint8)
    for layer, value in matrices.items():
        columns = value.shape[1] // (2 if format_name == "nvfp4" else 1)
        weights[f"{layer}.weight"] = torch.zeros(value.shape[0], columns, dtype=torch.uint8)
        weights[f"{layer}.weight_scale"] = torch.zeros(
            value.shape[0], value.shape[1] // 16, dtype=torch.uint8
        )
        weights[f"{layer}.weight_scale_2"] = torch.tensor(1.0)
        weights[f"{layer}.comfy_quant"] = remark.clone()
    save_file(weights, path)
    return path


def _quantised(value: torch.Tensor, format_name: str) -> tuple[Weights, dict[str, Any]]:
    """A matrix's tensors in a format, by the last part of their names, and what the remark says besides."""
    if format_name in GREATEST:
        scale = value.float().abs().max() / GREATEST[format_name]
        dtype: torch.dtype = getattr(torch, format_name)
        return {"weight": (value.float() / scale).to(dtype), "weight_scale": scale}, {}
    from comfy.quant_ops import QuantizedTensor

    layout, options = LAYOUTS[format_name]
    held: Any = QuantizedTensor.from_float(value.float(), layout, **options)
    stored = held.state_dict("weight")
    # Their own files hold scales that are types of 8 bits as bytes.
    if format_name == "mxfp8":
        stored["weight_scale"] = stored["weight_scale"].view(torch.uint8)
    settings = {
        name: getattr(held._params, name)
        for name in ("group_size", "convrot_groupsize")
        if format_name != "int8_tensorwise" and hasattr(held._params, name)
    }
    return stored, settings
