"""From file names to a MODEL that can speak: the work of the loader and of the apply node."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher

from ....attention.registry import COMFY
from ....multitalk.common.errors import ModelFileError
from ....multitalk.model.checkpoint import TALK_MODES, BaseSize, TalkMode
from ....multitalk.model.origin import PUBLISHED_AS, WHOLE_MODES, TalkOrigin, check_mode
from ..compat.patchers import is_dynamic
from ..compat.plain_memory import in_plain_memory, too_large_to_compile
from ..compat.precision import computed_in, held_bytes
from .compute import AUTO as AUTO_COMPUTE
from .compute import in_precision
from .files import (
    BASE_FOLDERS,
    BASE_LABEL,
    TALK_FOLDERS,
    TALK_LABEL,
    base_size,
    check_base_file,
    check_origin,
    check_readable,
    check_talk_file,
    file_stamp,
    find_model_file,
    with_label,
)
from .loaders import Quantization, expected_bytes, load_base, load_talk, precision_note, talk_bytes
from .lora import load_lora, patched_note
from .patcher import AudioAttachment, apply_talk, check_base
from .rowwise_fp8 import has_fp8_product, multiplies_in_fp8

AUTO_MODE = "auto"
MODES: tuple[str, ...] = (AUTO_MODE, *TALK_MODES)
MODE_LABEL = "mode"
IN_BASE = "in the base model"
"""Chosen in the place of a file of audio weights, when the base model's own file holds them."""
NO_LORA = "none"
LORA_LABEL = "lora"
LORA_FOLDERS = ("loras",)


@dataclass(frozen=True, slots=True)
class TalkChoice:
    """What the user chose about the audio weights.

    Attributes:
        talk_model: file name as the combo lists it, or IN_BASE.
        mode: whose windows: auto, or one of TalkMode.
        attention_mode: name of the attention backend.
        compile_blocks: run the transformer's blocks as one compiled graph.
        reserve_vram_gb: GPU memory to leave free beside what sampling takes.
        compute: the precision to compute in.
        attention_budget: largest error of sparse self-attention in percent; 0 computes it exactly.
    """

    talk_model: str
    mode: str
    attention_mode: str
    compile_blocks: bool = False
    reserve_vram_gb: float = 0.0
    compute: str = AUTO_COMPUTE
    attention_budget: float = 0.0

    @property
    def needs_plain_memory(self) -> bool:
        """Whether blocks may be compiled: with the host's own attention they never are."""
        return self.compile_blocks and self.attention_mode != COMFY

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> "TalkChoice":
        """Pick the widgets out of what the host hands a node."""
        return cls(**{field.name: inputs[field.name] for field in fields(cls) if field.name in inputs})


@dataclass(frozen=True, slots=True)
class BaseChoice:
    """What the user chose about the base model.

    Attributes:
        base_model: file name as the combo lists it.
        quantization: how its weights are held.
        lora: file name, or `none`.
        lora_strength: of the LoRA.
    """

    base_model: str
    quantization: Quantization
    lora: str
    lora_strength: float


def resolved_mode(asked: str, origin: TalkOrigin) -> tuple[TalkMode, str]:
    """Whose windows to use, and a sentence on how that was decided: the weights themselves do not tell.

    Raises:
        ModelFileError: the mode is unknown, or the weights are surely of another.
    """
    for mode in TALK_MODES:
        if mode == asked:
            with_label(MODE_LABEL, partial(check_mode, mode, origin))
            return mode, f"mode {mode}: as chosen"
    if asked != AUTO_MODE:
        raise ModelFileError(f"mode: {asked[:100]!r} is unknown here. Choose one of {', '.join(MODES)}.")
    if origin.mode is None:
        return (
            "infinitetalk",
            f"mode infinitetalk: auto, the name {origin.file_name} does not say; choose it",
        )
    if origin.is_named:
        return origin.mode, f"mode {origin.mode}: auto, from the name {origin.file_name}"
    return origin.mode, f"mode {origin.mode}: auto, from the config.json of {origin.file_name}"


def apply_choice(model: ModelPatcher, choice: TalkChoice) -> ModelPatcher:
    """Put audio weights on any Wan 2.1 I2V MODEL.

    Raises:
        InputError: the MODEL is something else.
        ModelFileError: the file is missing, damaged, something else, or made for another size.
    """
    check_base(model)
    path = find_talk(None, choice.talk_model)
    model, compute_notes, warnings = in_precision(model, choice.compute, choice.attention_mode)
    return apply_file(model, path, choice, (*patched_note(model), *compute_notes), warnings)


def apply_file(
    model: ModelPatcher, path: Path, choice: TalkChoice, notes: tuple[str, ...], warnings: tuple[str, ...]
) -> ModelPatcher:
    """Put the audio weights at `path` on a MODEL that computes as it is to; raises as apply_choice.

    `notes` and `warnings` are shown by the sampler too.
    """
    tree = model.model.diffusion_model
    config = check_talk_file(path, BaseSize("of the model socket", tree.dim, tree.num_layers))
    mode, mode_note = resolved_mode(choice.mode, check_origin(path))
    if is_dynamic(model):
        choice, why_not = compiled_if_it_fits(choice, held_bytes(tree) + talk_bytes(path, config))
        notes = (*notes, *why_not)
    if choice.needs_plain_memory:
        model = in_plain_memory(model)
    in_fp8 = audio_in_fp8(model)
    if in_fp8:
        note = "audio weights: products over the video's tokens in fp8 with a scale a row, as the base's are"
        notes = (*notes, note)
    attachment = AudioAttachment(
        talk_name=path.name,
        mode=mode,
        attention_mode=choice.attention_mode,
        talk=load_talk(path, config, dynamic=not choice.needs_plain_memory, in_fp8=in_fp8),
        compile_blocks=choice.compile_blocks,
        notes=(*notes, mode_note),
        reserve_vram_gb=choice.reserve_vram_gb,
        warnings=warnings,
        compute=choice.compute,
        attention_budget=choice.attention_budget,
    )
    return apply_talk(model, attachment)


def audio_in_fp8(model: ModelPatcher) -> bool:
    """Whether the audio weights' large products are to be fp8 ones: where the base's are, in bfloat16."""
    layer = model.model.diffusion_model.blocks[0].self_attn.q
    if not multiplies_in_fp8(layer) or computed_in(model) is not torch.bfloat16:
        return False
    return has_fp8_product(torch.device(model.load_device))


def compiled_if_it_fits(choice: TalkChoice, weights_bytes: int) -> tuple[TalkChoice, tuple[str, ...]]:
    """The choice, without compiled blocks where these would be slower, and what to tell of that."""
    why_not = too_large_to_compile(weights_bytes) if choice.needs_plain_memory else None
    return (choice, ()) if why_not is None else (replace(choice, compile_blocks=False), (why_not,))


def find_talk(base_model: str | None, talk_model: str) -> Path:
    """The path of the audio weights that are chosen; `base_model` is None where there is no choice of it.

    Raises:
        ModelFileError: there is no such file.
    """
    if talk_model == IN_BASE and base_model is not None:
        return find_model_file(BASE_LABEL, base_model, BASE_FOLDERS)
    return find_model_file(TALK_LABEL, talk_model, TALK_FOLDERS)


def check_files(
    base_model: str | None, talk_model: str | None, lora: str | None = None, mode: str | None = None
) -> None:
    """Refuse files that cannot be used, by their headers, in milliseconds; None is a name not known yet.

    Raises:
        ModelFileError: a file is missing, damaged, something else, or does not fit the others or the mode.
    """
    base = None
    if base_model is not None:
        base_path = find_model_file(BASE_LABEL, base_model, BASE_FOLDERS)
        found = check_base_file(base_path)
        base = base_size(found)
        if found.has_talk_weights and talk_model not in (None, IN_BASE):
            _check_not_whole(base_path)
    # A base model that a link will bring is not known yet, and what is in it neither.
    if talk_model is not None and not (talk_model == IN_BASE and base_model is None):
        path = find_talk(base_model, talk_model)
        check_talk_file(path, base)
        if mode is not None:
            resolved_mode(mode, check_origin(path))
    if lora not in (None, NO_LORA):
        check_readable(LORA_LABEL, find_model_file(LORA_LABEL, lora, LORA_FOLDERS))


def _check_not_whole(base_path: Path) -> None:
    """Refuse other audio weights beside those that the base model was trained with."""
    origin = check_origin(base_path)
    if origin.mode in WHOLE_MODES:
        raise ModelFileError(
            f"talk_model: `{origin.file_name}` is {PUBLISHED_AS[origin.mode]} by {origin.shown_by} and holds "
            f"audio weights of its own, which it was trained with. Choose `{IN_BASE}`, or another base_model."
        )


def _own_weights_note(base_path: Path, talk_path: Path) -> tuple[str, ...]:
    """Says that other audio weights than the base model's own are used."""
    if base_path == talk_path or not check_base_file(base_path).has_talk_weights:
        return ()
    note = f"the audio weights in {base_path.name} are not used; choose `{IN_BASE}` as talk_model for them"
    return (note,)


def file_stamps(base_model: str | None, talk_model: str | None, lora: str | None = None) -> list[object]:
    """What changes when one of the files does; None is a name not known yet.

    Raises:
        ModelFileError: a file is missing.
    """
    asked = (
        (BASE_LABEL, base_model, BASE_FOLDERS),
        (TALK_LABEL, None if talk_model == IN_BASE else talk_model, TALK_FOLDERS),
        (LORA_LABEL, None if lora == NO_LORA else lora, LORA_FOLDERS),
    )
    return [
        file_stamp(find_model_file(label, name, folders))
        for label, name, folders in asked
        if name is not None
    ]


def load_choice(base: BaseChoice, talk: TalkChoice) -> ModelPatcher:
    """Load a base model and its audio weights; all files are checked before any loads.

    Raises:
        ModelFileError: a file is missing, damaged, something else, or does not fit the other.
    """
    base_path = find_model_file(BASE_LABEL, base.base_model, BASE_FOLDERS)
    check_files(base.base_model, talk.talk_model, base.lora, talk.mode)
    talk_path = find_talk(base.base_model, talk.talk_model)
    weights_bytes = expected_bytes(base_path, base.quantization)
    weights_bytes += talk_bytes(talk_path, check_talk_file(talk_path, None))
    talk, why_not = compiled_if_it_fits(talk, weights_bytes)
    model, _ = load_base(base_path, base.quantization, dynamic=not talk.needs_plain_memory)
    model, compute_notes, warnings = in_precision(model, talk.compute, talk.attention_mode)
    notes = [
        precision_note(model, base.quantization),
        *compute_notes,
        *why_not,
        *_own_weights_note(base_path, talk_path),
    ]
    if base.lora != NO_LORA:
        lora_path = find_model_file(LORA_LABEL, base.lora, LORA_FOLDERS)
        model, report = load_lora(model, lora_path, base.lora_strength)
        notes.append(report.note)
        warnings = (*warnings, *report.warnings)
    return apply_file(model, talk_path, talk, tuple(notes), warnings)
