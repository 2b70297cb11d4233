"""The weights of base models that the host's own loader of files would misread or not know.

Each is read as the host reads it, and renamed or marked so that the host's loader of weights knows it:
- names that begin with `diffusion_model.`: the host knows a model without it;
- e5m2 with scales in the old form: newer hosts take every such file for e4m3fn, whose greatest value is 448
  instead of 57,344; and scales without a remark, which hosts leave out;
- for fp8_rowwise: scaled fp8 under the names that its layers know, and whatever else is scaled, plainly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from comfy.utils import load_torch_file

from ....multitalk.common.errors import ModelFileError
from ....wanvideo.checkpoint import read_header
from ....wanvideo.checkpoint_kind import CheckpointDescription, describe_checkpoint
from ....wanvideo.quantised_layers import FP8_FORMATS, Marking, QuantisedLayer
from ..compat.quantised import Weights, as_scaled_fp8, reads_remarks, told
from .files import BASE_LABEL, with_label
from .rowwise_fp8 import QUANTISED as ROWWISE_PART

PLAIN = torch.bfloat16
"""What scaled weights become that fp8_rowwise holds plainly."""


@dataclass(frozen=True, slots=True)
class BaseState:
    """A base model's weights for the host's loader of weights, and the metadata to go with them."""

    weights: Weights
    metadata: Mapping[str, str]


def base_state(path: Path, *, rowwise: bool) -> BaseState | None:
    """The weights of the base at `path`, or None if the host's own loader of files does as well.

    Raises:
        ModelFileError: they are quantised in a form from which fp8_rowwise cannot be made.
    """
    found = with_label(BASE_LABEL, lambda: describe_checkpoint(read_header(path)))
    layers = bare_layers(found)
    if rowwise and layers:
        check_for_rowwise(found)
        weights, metadata = read_base(path, found.prefix)
        name_for_rowwise(weights, layers)
        return BaseState(weights, {})
    if found.prefix == "diffusion_model." or any(_is_misread(layer) for layer in layers.values()):
        weights, metadata = read_base(path, found.prefix)
        # Old marks that the host reads rightly stay: it knows more of them than is in the layers.
        remarked = layers if reads_remarks() and any(_needs_remark(one) for one in layers.values()) else {}
        return BaseState(weights, told(weights, metadata, remarked) if remarked else metadata)
    return None


def bare_layers(found: CheckpointDescription) -> dict[str, QuantisedLayer]:
    """The quantised layers of a file, by their names without prefix."""
    return {name.removeprefix(found.prefix): layer for name, layer in found.layers.items()}


def read_base(path: Path, prefix: str) -> tuple[Weights, dict[str, str]]:
    """A file's weights, by their names without prefix, and its metadata."""
    read: Any = load_torch_file(str(path), return_metadata=True)
    stored, metadata = cast("tuple[Weights, dict[str, str] | None]", read)
    return {name.removeprefix(prefix): value for name, value in stored.items()}, metadata or {}


def check_for_rowwise(found: CheckpointDescription) -> None:
    """Refuse layers of which fp8_rowwise cannot be made.

    Raises:
        ModelFileError: one is quantised otherwise than in fp8 with one scale.
    """
    other = [name for name in found.formats if name not in FP8_FORMATS.values()]
    if other:
        raise ModelFileError(
            f"quantization: fp8_rowwise is made from weights in fp16, bf16, fp32 or fp8, and "
            f"`{found.file_name}` holds them as {', '.join(other)}. Choose `as stored`, or a base model in "
            "one of those."
        )


def name_for_rowwise(weights: Weights, layers: Mapping[str, QuantisedLayer]) -> None:
    """Name scales as fp8_rowwise's layers know them, and multiply those out that it does not, in place."""
    as_scaled_fp8(weights, layers)
    for name in layers:
        if ROWWISE_PART not in f"{name}.":
            scale = weights.pop(f"{name}.scale_weight")
            weights[f"{name}.weight"] = (weights[f"{name}.weight"].float() * scale).to(PLAIN)


def _is_misread(layer: QuantisedLayer) -> bool:
    """Whether the host's loader of files would compute with something else than the file says."""
    return reads_remarks() and _needs_remark(layer) and layer.marking in (Marking.NONE, Marking.OLD)


def _needs_remark(layer: QuantisedLayer) -> bool:
    return layer.marking is not Marking.OLD or _is_old_e5m2(layer)


def _is_old_e5m2(layer: QuantisedLayer) -> bool:
    return layer.marking is Marking.OLD and layer.format == "float8_e5m2"
