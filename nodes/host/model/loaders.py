"""Loads a base model through the host's own loader, and the audio weights into a patcher of their own."""

import logging
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from math import prod
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.ops
import comfy.sd
import torch
from comfy.model_patcher import ModelPatcher
from comfy.utils import load_torch_file

from ....attention.plain_text import name_of_dtype
from ....multitalk.common.errors import ModelFileError
from ....multitalk.common.layers import Layers
from ....multitalk.model.audio_model import AudioModel
from ....multitalk.model.checkpoint import TalkConfig, strip_prefix, talk_layers
from ....wanvideo.checkpoint import GGUF_SUFFIX, read_header
from ....wanvideo.checkpoint_kind import describe_checkpoint
from ....wanvideo.gguf_weights import read_gguf_tensors
from ....wanvideo.model_folder import weight_files
from ....wanvideo.quantised_layers import QuantisedLayer
from ....wanvideo.safetensors_header import stored_bytes
from ..compat.patchers import can_be_loaded_again, load_options, loaded_again_by, new_patcher, own_weights
from ..compat.precision import computed_in, note_precision, precision_of, settle_precision
from ..compat.quantised import form_of, hold_quantised
from .base_state import bare_layers, base_state
from .files import BASE_LABEL, TALK_LABEL, with_label
from .rowwise_fp8 import RowwiseFp8, has_fp8_product, quantised_beside

LOG = logging.getLogger("evertalk")

COPIES = 3
"""Weights that are quantised at once."""

SOURCE = "evertalk_source"
"""Names the attachment that tells which file a MODEL or its audio weights were loaded from."""


class Quantization(Enum):
    """How the base model's weights are held."""

    AS_STORED = "as stored"
    BF16 = "bf16"
    FP16 = "fp16"
    FP32 = "fp32"
    FP8_E4M3FN = "fp8_e4m3fn"
    FP8_E4M3FN_FAST = "fp8_e4m3fn_fast"
    FP8_E5M2 = "fp8_e5m2"
    FP8_ROWWISE = "fp8_rowwise"


@dataclass(frozen=True, slots=True)
class BaseSource:
    """What a base model was loaded from.

    Attributes:
        path: its file or folder.
        quantization: how its weights are held.
    """

    path: Path
    quantization: Quantization


@dataclass(frozen=True, slots=True)
class TalkSource:
    """What audio weights were loaded from.

    Attributes:
        path: their file or folder.
        in_fp8: their products over the video's tokens are fp8 ones.
    """

    path: Path
    in_fp8: bool


_DTYPES = {
    Quantization.BF16: torch.bfloat16,
    Quantization.FP16: torch.float16,
    Quantization.FP32: torch.float32,
    Quantization.FP8_E4M3FN: torch.float8_e4m3fn,
    Quantization.FP8_E4M3FN_FAST: torch.float8_e4m3fn,
    Quantization.FP8_E5M2: torch.float8_e5m2,
    Quantization.FP8_ROWWISE: torch.bfloat16,  # what is not a block's matrix
}


def model_options_of(quantization: Quantization) -> dict[str, Any]:
    """How the host's loader is told to hold weights."""
    options: dict[str, Any] = {}
    if quantization in _DTYPES:
        options["dtype"] = _DTYPES[quantization]
    if quantization is Quantization.FP8_E4M3FN_FAST:
        options["fp8_optimizations"] = True
    if quantization is Quantization.FP8_ROWWISE:
        options["custom_operations"] = RowwiseFp8
    return options


def load_base(path: Path, quantization: Quantization, *, dynamic: bool = True) -> tuple[ModelPatcher, str]:
    """Load a base model, and say in what precision it is held and computed.

    Args:
        path: a file that check_base_file has passed.
        quantization: how its weights are to be held.
        dynamic: the host may bring weights to the GPU at use (dynamic VRAM), where it does so.

    Raises:
        ModelFileError: fp8_rowwise cannot be made of what the file holds.
    """
    options = model_options_of(quantization)
    others = load_options(dynamic=dynamic)
    state = base_state(path, rowwise=quantization is Quantization.FP8_ROWWISE)
    model: ModelPatcher | None
    if state is None:
        model = comfy.sd.load_diffusion_model(str(path), model_options=options, **others)
    else:
        model = comfy.sd.load_diffusion_model_state_dict(
            state.weights, model_options=options, metadata=state.metadata, **others
        )
    if model is None:
        raise ModelFileError(
            f"base_model: ComfyUI does not know what model `{path.name}` is, though its names are those of a "
            "Wan transformer. Download it again, or choose another."
        )
    # The host's fp8 products ask whether a layer's weights are fp8 as they lie in RAM.
    if not dynamic or quantization is Quantization.FP8_E4M3FN_FAST:
        settle_precision(model.model)
    can_be_loaded_again(model, reload_base, path, quantization, dynamic)
    model.set_attachments(SOURCE, BaseSource(path, quantization))
    return model, precision_note(model, quantization)


def source_of(model: ModelPatcher) -> BaseSource | None:
    """What a MODEL's base was loaded from, by the pack's loader or by one that told the host; else None."""
    source = model.get_attachment(SOURCE)
    if isinstance(source, BaseSource):
        return source
    told_host = loaded_again_by(model)
    if told_host is None or told_host[0] is not comfy.sd.load_diffusion_model:
        return None
    path, options = told_host[1]
    told = {key: value for key, value in options.items() if value}
    found = next((one for one in Quantization if model_options_of(one) == told), None)
    return None if found is None else BaseSource(Path(path), found)


def expected_bytes(path: Path, quantization: Quantization) -> int:
    """What a base model's weights will take, told by its header; what is quantised keeps its form."""
    header = with_label(BASE_LABEL, lambda: read_header(path))
    found = describe_checkpoint(header)
    names = [name for name in header.tensors if strip_prefix(name, found.prefix) is None]
    if quantization not in _DTYPES or bare_layers(found):
        return stored_bytes(header.tensors[name] for name in names)
    held = torch.float8_e4m3fn if quantization is Quantization.FP8_ROWWISE else _DTYPES[quantization]
    return held.itemsize * sum(prod(header.tensors[name].shape) for name in names)


def talk_bytes(path: Path, config: TalkConfig) -> int:
    """What audio weights take, which are held as they are stored."""
    if path.suffix.lower() == GGUF_SUFFIX:
        return path.stat().st_size
    tensors = with_label(TALK_LABEL, lambda: read_header(path)).tensors
    return stored_bytes(one for name, one in tensors.items() if strip_prefix(name, config.prefix) is not None)


def reload_base(
    path: Path, quantization: Quantization, dynamic: bool, disable_dynamic: bool = False
) -> ModelPatcher:
    """Load a base model once more, with the same options; the host calls it for a copy of its own."""
    return load_base(path, quantization, dynamic=dynamic and not disable_dynamic)[0]


def precision_note(model: ModelPatcher, asked: Quantization) -> str:
    """What was asked for and what the host made of it."""
    matrix = model.model.diffusion_model.blocks[0].self_attn.q
    held = form_of(matrix) or name_of_dtype(precision_of(matrix))
    kept = ""
    if asked in _DTYPES and asked is not Quantization.FP8_ROWWISE and held != name_of_dtype(_DTYPES[asked]):
        kept = " as in the file"
    computed = name_of_dtype(computed_in(model))
    fast = ""
    if asked is Quantization.FP8_E4M3FN_FAST:
        fast = f", {_fast_note(model)}"
    if asked is Quantization.FP8_ROWWISE:
        fast = f", {_rowwise_note(model)}"
    return f"quantization {asked.value}: weights held as {held}{kept}, computed in {computed}{fast}"


def _fast_note(model: ModelPatcher) -> str:
    device = model.load_device
    if comfy.model_management.supports_fp8_compute(device):
        return "fp8 matrix products"
    return f"no fp8 matrix products on {device}: it cannot; fp8_e4m3fn says the same"


def _rowwise_note(model: ModelPatcher) -> str:
    device = model.load_device
    if has_fp8_product(device):
        return "fp8 matrix products with a scale a row"
    return f"no fp8 matrix products on {device}: weights are cast at each use, which takes longer"


def read_weights(path: Path, config: TalkConfig) -> dict[str, torch.Tensor]:
    """The audio weights in a file, by their names without prefix; those of a GGUF file dequantised.

    Raises:
        ModelFileError: a GGUF file is quantised in an unknown way.
    """
    if path.suffix.lower() == GGUF_SUFFIX:
        return with_label(
            TALK_LABEL, lambda: read_gguf_tensors(path, lambda name: strip_prefix(name, config.prefix))
        )
    weights: dict[str, torch.Tensor] = {}
    for file in with_label(TALK_LABEL, lambda: weight_files(path)):
        stored: dict[str, torch.Tensor] = load_torch_file(str(file), safe_load=True)  # pyright: ignore[reportAssignmentType]
        weights |= {
            bare: value
            for name, value in stored.items()
            if (bare := strip_prefix(name, config.prefix)) is not None
        }
    return weights


def load_talk(path: Path, config: TalkConfig, *, dynamic: bool = True, in_fp8: bool = False) -> ModelPatcher:
    """Load audio weights in their own precision, for the host's memory manager to move.

    Args:
        path: a file that check_talk_file has passed.
        config: what it found.
        dynamic: the host may bring weights to the GPU at use (dynamic VRAM), where it does so.
        in_fp8: their products over the video's tokens are fp8 ones, as the base's are.

    Raises:
        ModelFileError: weights are missing, of another shape, or quantised in an unknown way.
    """
    layers = talk_layers(with_label(TALK_LABEL, lambda: describe_checkpoint(read_header(path))))
    state = read_weights(path, config)
    held = held_as(state, layers)
    # Made without memory and given the file's own tensors, each of its own type: the layers have none.
    model = AudioModel(config, Layers(comfy.ops.manual_cast, device=torch.device("meta")))
    hold_quantised(model, state, layers)
    if in_fp8:
        multiply_in_fp8(model, state, [name for name in layers_over_tokens(config) if name not in layers])
    model.eval()
    patcher = new_patcher(
        model,
        comfy.model_management.get_torch_device(),
        comfy.model_management.unet_offload_device(),
        dynamic=dynamic,
    )
    try:
        model.load_state_dict(own_weights(patcher, state), strict=True, assign=True)
    except RuntimeError as error:
        raise ModelFileError(
            f"talk_model: {path.name} does not hold a whole set of audio weights: {error}. Download it again."
        ) from error
    note_precision(model)
    can_be_loaded_again(patcher, reload_talk, path, config, dynamic, in_fp8)
    patcher.set_attachments(SOURCE, TalkSource(path, in_fp8))
    LOG.info("audio weights %s: held as %s, %d blocks", path.name, held, config.num_layers)
    return patcher


def held_as(state: Mapping[str, torch.Tensor], layers: Mapping[str, QuantisedLayer]) -> str:
    """How audio weights are held: the matrices' formats and types, the most frequent first."""
    forms = Counter(
        layers[name].format if (name := key.removesuffix(".weight")) in layers else name_of_dtype(value.dtype)
        for key, value in state.items()
        if key.endswith(".weight") and value.ndim == 2
    )
    return ", ".join(form for form, _ in forms.most_common())


def reload_talk(
    path: Path, config: TalkConfig, dynamic: bool, in_fp8: bool, disable_dynamic: bool = False
) -> ModelPatcher:
    """Load audio weights once more; the host calls it for a copy of its own."""
    return load_talk(path, config, dynamic=dynamic and not disable_dynamic, in_fp8=in_fp8)


def layers_over_tokens(config: TalkConfig) -> list[str]:
    """The audio weights' layers through which the video's tokens go: all but a hundredth of the work."""
    blocks = range(config.num_layers)
    return [f"blocks.{block}.audio_cross_attn.{name}" for block in blocks for name in ("q_linear", "proj")]


def multiply_in_fp8(model: AudioModel, state: dict[str, torch.Tensor], names: list[str]) -> None:
    """Put layers in the place of plain ones whose weights are fp8 ones with a scale a row, in `state` too."""

    def is_whole(name: str) -> bool:
        plain: Any = model.get_submodule(name)
        weight = state.get(f"{name}.weight")
        return weight is not None and weight.shape == (plain.out_features, plain.in_features)

    def quantise(name: str) -> None:
        weight, scale = quantised_beside(state[f"{name}.weight"])
        state[f"{name}.weight"], state[f"{name}.scale_weight"] = weight, scale
        linear = RowwiseFp8.Linear(weight.shape[1], weight.shape[0], device=torch.device("meta"))
        linear.hold(weight, scale)
        above, _, last = name.rpartition(".")
        setattr(model.get_submodule(above), last, linear)

    # Several at once: each copy to and from the GPU keeps a core busy, not the bus.
    with ThreadPoolExecutor(COPIES) as pool:
        list(pool.map(quantise, (name for name in names if is_whole(name))))
