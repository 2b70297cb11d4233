"""Which layers of a model file are quantised, and how.

Three forms are in circulation. The old one of scaled fp8: a tensor `scaled_fp8` and for each scaled matrix
`LAYER.scale_weight`. The one of 2026: for each layer a remark in JSON, `{"format": "nvfp4"}`, as the bytes of
a small tensor `LAYER.comfy_quant` or together in the file's metadata, with scales in `LAYER.weight_scale`.
And scales of that name without any remark. A file may hold any layer so and any other plainly.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from .checkpoint_layout import MODEL_PREFIXES, SCALE_SUFFIX
from .header import CheckpointHeader
from .header_limits import JsonLimitError, bounded_json

REMARK_SUFFIX = ".comfy_quant"
REMARKS = "_quantization_metadata"
"""The entry of a file's metadata that holds the remarks on all layers."""

NEW_SCALE_SUFFIX = ".weight_scale"
FP8_FORMATS = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
"""What the remarks call a type of the file's."""

VALUES_IN_A_BYTE = {"nvfp4": 2, "convrot_w4a4": 2, "asym_w4a8_int8": 2}
"""Of formats whose stored matrices have fewer columns than the layer has inputs."""

SCALES = {
    "nvfp4": ("weight_scale", "weight_scale_2"),
    "asym_w4a8_int8": ("weight_s_rel", "weight_s_channel"),
}
"""The tensors that a layer's values cannot be computed without, beside its weight, where not one scale."""


class RemarkError(Exception):
    """A remark on quantised layers that is not of the right form."""


class Marking(Enum):
    """How a file says that a layer is quantised."""

    OLD = "scale_weight beside the weight"
    TENSOR = "a comfy_quant tensor"
    METADATA = "the file's metadata"
    NONE = "weight_scale beside the weight, and no remark"


@dataclass(frozen=True, slots=True)
class QuantisedLayer:
    """One quantised layer.

    Attributes:
        format: as the remarks name it: `float8_e4m3fn`, `nvfp4`, `mxfp8`, `int8_tensorwise`, ...
        marking: how the file says so.
        settings: the remark; of the layers that have none, as it would be.
    """

    format: str
    marking: Marking
    settings: Mapping[str, Any]

    @property
    def scales(self) -> tuple[str, ...]:
        """The last parts of the names of the scales that it cannot do without."""
        if self.marking is Marking.OLD:
            return (SCALE_SUFFIX.removeprefix("."),)
        return SCALES.get(self.format, (NEW_SCALE_SUFFIX.removeprefix("."),))


def quantised_layers(header: CheckpointHeader) -> dict[str, QuantisedLayer]:
    """The quantised layers of a file whose header was read, by their full names; raises nothing."""
    layers = {
        name: _layer(header, name, str(remark["format"]), Marking.TENSOR, remark)
        for name, remark in header.remarks.items()
        if f"{name}.weight" in header.tensors
    }
    for name, remark in metadata_remarks(header.metadata).items():
        # Written with the prefix of the file's names or without it.
        full = next((p + name for p in ("", *MODEL_PREFIXES) if f"{p}{name}.weight" in header.tensors), None)
        if full is not None:
            layers[full] = _layer(header, full, str(remark["format"]), Marking.METADATA, remark)
    for suffix, marking in ((SCALE_SUFFIX, Marking.OLD), (NEW_SCALE_SUFFIX, Marking.NONE)):
        for name in header.tensors:
            layer = name.removesuffix(suffix)
            weight = header.tensors.get(f"{layer}.weight")
            if layer == name or layer in layers or weight is None:
                continue
            kind = FP8_FORMATS.get(weight.dtype, f"{weight.dtype} with scales")
            layers[layer] = _layer(header, layer, kind, marking, {"format": kind})
    return layers


def logical_shape(
    header: CheckpointHeader, layers: Mapping[str, QuantisedLayer], name: str
) -> tuple[int, ...]:
    """The shape that the weight `name`, which must be there, has as numbers; the stored one may be packed."""
    shape = header.shape(name)
    layer = layers.get(name.removesuffix(".weight"))
    if layer is None or not shape:
        return shape
    return (*shape[:-1], shape[-1] * VALUES_IN_A_BYTE.get(layer.format, 1))


def metadata_remarks(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The remarks on layers in a file's metadata; nothing where it has none.

    Raises:
        RemarkError: they are not JSON of the right form.
    """
    text = metadata.get(REMARKS)
    if text is None:
        return {}
    layers = _object(_object(_parsed(text)).get("layers"))
    return {name: remark_from(entry) for name, entry in layers.items()}


def remark_from(stored: object) -> dict[str, Any]:
    """A layer's remark from its JSON, as text, as bytes or parsed already.

    Raises:
        RemarkError: it is not a JSON object with a text under `format`.
    """
    remark = _object(_parsed(stored) if isinstance(stored, str | bytes) else stored)
    if not isinstance(remark.get("format"), str):
        raise RemarkError("it names no format")
    return remark


def formats_of(layers: Mapping[str, QuantisedLayer]) -> tuple[str, ...]:
    """The formats of these layers, each once, in order."""
    return tuple(sorted({layer.format for layer in layers.values()}))


def _layer(
    header: CheckpointHeader, name: str, format_name: str, marking: Marking, settings: Mapping[str, Any]
) -> QuantisedLayer:
    """A layer; fp8 with many scales has no name of its own in any remark, and gets one that says so."""
    suffix = SCALE_SUFFIX if marking is Marking.OLD else NEW_SCALE_SUFFIX
    scale = header.tensors.get(name + suffix)
    count = 1 if scale is None else math.prod(scale.shape)
    if format_name in FP8_FORMATS.values() and count != 1:
        format_name = f"{format_name} with {count} scales a matrix"
    return QuantisedLayer(format_name, marking, settings)


def _parsed(text: str | bytes) -> object:
    try:
        return bounded_json(text)
    except JsonLimitError as error:
        raise RemarkError(str(error)) from error


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RemarkError("it is not a JSON object of remarks on layers")
    return cast("dict[str, Any]", value)
