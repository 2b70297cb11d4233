"""From file names to a MODEL that can speak: the work of the loader and of the apply node."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from comfy.model_patcher import ModelPatcher

from ....attention.registry import COMFY
from ....multitalk.model.checkpoint import BaseSize, TalkMode, mode_from_name
from ..compat.patchers import is_dynamic
from ..compat.plain_memory import in_plain_memory, too_large_to_compile
from ..compat.precision import held_bytes
from .files import (
    BASE_FOLDERS,
    BASE_LABEL,
    TALK_FOLDERS,
    TALK_LABEL,
    base_size,
    check_base_file,
    check_readable,
    check_talk_file,
    file_stamp,
    find_model_file,
)
from .loaders import Quantization, expected_bytes, load_base, load_talk
from .lora import load_lora, patched_note
from .patcher import AudioAttachment, apply_talk, check_base

AUTO_MODE = "auto"
MODES: tuple[str, ...] = (AUTO_MODE, "infinitetalk", "multitalk")
NO_LORA = "none"
LORA_LABEL = "lora"
LORA_FOLDERS = ("loras",)


@dataclass(frozen=True, slots=True)
class TalkChoice:
    """What the user chose about the audio weights.

    Attributes:
        talk_model: file name as the combo lists it.
        mode: whose windows: auto, infinitetalk or multitalk.
        attention_mode: name of the attention backend.
        compile_blocks: run the transformer's blocks as one compiled graph.
        reserve_vram_gb: GPU memory to leave free beside what sampling takes.
        attention_budget: largest error of sparse self-attention in percent; 0 computes it exactly.
    """

    talk_model: str
    mode: str
    attention_mode: str
    compile_blocks: bool = False
    reserve_vram_gb: float = 0.0
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


def resolved_mode(choice: TalkChoice) -> tuple[TalkMode, str]:
    """Whose windows to use, and a sentence on how that was decided: the weights themselves do not tell."""
    if choice.mode in ("infinitetalk", "multitalk"):
        mode: TalkMode = "infinitetalk" if choice.mode == "infinitetalk" else "multitalk"
        return mode, f"mode {mode}: as chosen"
    named = mode_from_name(choice.talk_model)
    if named is None:
        return (
            "infinitetalk",
            f"mode infinitetalk: auto, the name {choice.talk_model} does not say; choose it",
        )
    return named, f"mode {named}: auto, from the name {choice.talk_model}"


def apply_choice(
    model: ModelPatcher, choice: TalkChoice, notes: tuple[str, ...] = (), warnings: tuple[str, ...] = ()
) -> ModelPatcher:
    """Put audio weights on any Wan 2.1 I2V MODEL; `notes` and `warnings` are shown by the sampler too.

    Raises:
        InputError: the MODEL is something else.
        ModelFileError: the file is missing, damaged, something else, or made for another size.
    """
    check_base(model)
    tree = model.model.diffusion_model
    path = find_model_file(TALK_LABEL, choice.talk_model, TALK_FOLDERS)
    notes = notes or patched_note(model)
    if is_dynamic(model):
        choice, why_not = compiled_if_it_fits(choice, held_bytes(tree) + path.stat().st_size)
        notes = (*notes, *why_not)
    if choice.needs_plain_memory:
        model = in_plain_memory(model)
    config = check_talk_file(path, BaseSize("of the model socket", tree.dim, tree.num_layers))
    mode, mode_note = resolved_mode(choice)
    attachment = AudioAttachment(
        talk_name=path.name,
        mode=mode,
        attention_mode=choice.attention_mode,
        talk=load_talk(path, config, dynamic=not choice.needs_plain_memory),
        compile_blocks=choice.compile_blocks,
        notes=(*notes, mode_note),
        reserve_vram_gb=choice.reserve_vram_gb,
        warnings=warnings,
        attention_budget=choice.attention_budget,
    )
    return apply_talk(model, attachment)


def compiled_if_it_fits(choice: TalkChoice, weights_bytes: int) -> tuple[TalkChoice, tuple[str, ...]]:
    """The choice, without compiled blocks where these would be slower, and what to tell of that."""
    why_not = too_large_to_compile(weights_bytes) if choice.needs_plain_memory else None
    return (choice, ()) if why_not is None else (replace(choice, compile_blocks=False), (why_not,))


def check_files(base_model: str | None, talk_model: str | None, lora: str | None = None) -> None:
    """Refuse files that cannot be used, by their headers, in milliseconds; None is a name not known yet.

    Raises:
        ModelFileError: a file is missing, damaged, something else, or does not fit the others.
    """
    base = None
    if base_model is not None:
        base = base_size(check_base_file(find_model_file(BASE_LABEL, base_model, BASE_FOLDERS)))
    if talk_model is not None:
        check_talk_file(find_model_file(TALK_LABEL, talk_model, TALK_FOLDERS), base)
    if lora not in (None, NO_LORA):
        check_readable(LORA_LABEL, find_model_file(LORA_LABEL, lora, LORA_FOLDERS))


def file_stamps(base_model: str | None, talk_model: str | None, lora: str | None = None) -> list[object]:
    """What changes when one of the files does; None is a name not known yet.

    Raises:
        ModelFileError: a file is missing.
    """
    asked = (
        (BASE_LABEL, base_model, BASE_FOLDERS),
        (TALK_LABEL, talk_model, TALK_FOLDERS),
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
    check_files(base.base_model, talk.talk_model, base.lora)
    talk_path = find_model_file(TALK_LABEL, talk.talk_model, TALK_FOLDERS)
    weights_bytes = expected_bytes(base_path, base.quantization) + talk_path.stat().st_size
    talk, why_not = compiled_if_it_fits(talk, weights_bytes)
    model, precision_note = load_base(base_path, base.quantization, dynamic=not talk.needs_plain_memory)
    notes, warnings = [precision_note, *why_not], ()
    if base.lora != NO_LORA:
        lora_path = find_model_file(LORA_LABEL, base.lora, LORA_FOLDERS)
        model, report = load_lora(model, lora_path, base.lora_strength)
        notes.append(report.note)
        warnings = report.warnings
    return apply_choice(model, talk, tuple(notes), warnings)
