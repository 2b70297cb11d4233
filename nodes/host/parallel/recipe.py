"""What a MODEL was made of, so that a process on another GPU makes the same, and what has no place in it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP

from ....attention.plain_text import name_of_dtype
from ....multitalk.common.errors import InputError, reason_of
from ....multitalk.common.fingerprint import fingerprint
from ..compat.precision import compute_in, computed_in
from ..model.connected import name_of
from ..model.files import base_size, check_base_file, check_talk_file, file_stamp
from ..model.loaders import SOURCE, Quantization, TalkSource, load_base, load_talk, source_of
from ..model.patcher import KEY, AudioAttachment, apply_talk, attachment_of
from ..model.rank_checks import check_budget_on_ranks, check_options
from .patch_file import check_patches, read_patches, replaced_parts, write_patches

PARALLEL_KEY = "evertalk_parallel"
"""Names the entries of EverTalk Parallel on a MODEL."""

INSTEAD = "Remove that node, or set gpus of EverTalk Parallel to 1."


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a talking MODEL was made of.

    Attributes:
        base: the base model's file or folder.
        quantization: how its weights are held.
        talk: the audio weights' file or folder.
        talk_in_fp8: their large products are fp8 ones.
        mode: whose windows they were trained for.
        compute: the precision that is computed in.
        compile_blocks: run blocks as one compiled graph.
        patches: what nodes changed of the weights, as patch_file says it; None before it is written.
    """

    base: str
    quantization: str
    talk: str
    talk_in_fp8: bool
    mode: str
    compute: str
    compile_blocks: bool
    patches: Mapping[str, Any] | None = None

    def said(self) -> dict[str, Any]:
        """For a message."""
        return asdict(self)

    def made(self) -> ModelPatcher:
        """The MODEL, in this process.

        Raises:
            ModelFileError: a file is not what it was.
        """
        base_path, talk_path = Path(self.base), Path(self.talk)
        # Dynamic VRAM is begun by the host's main.py, which no worker runs.
        model, _ = load_base(base_path, Quantization(self.quantization), dynamic=False)
        if name_of_dtype(computed_in(model)) != self.compute:
            model = compute_in(model, getattr(torch, self.compute))
        if self.patches is not None:
            model = read_patches(dict(self.patches), model)
        config = check_talk_file(talk_path, base_size(check_base_file(base_path)))
        talk = load_talk(talk_path, config, dynamic=False, in_fp8=self.talk_in_fp8)
        mode: Any = self.mode
        attachment = AudioAttachment(talk_path.name, mode, "auto", talk, self.compile_blocks)
        return apply_talk(model, attachment)


def recipe_of(model: ModelPatcher) -> Recipe:
    """The recipe of a talking MODEL, without what nodes changed of its weights.

    Raises:
        InputError: it was loaded, or changed, in a way that another process cannot repeat.
    """
    attachment = attachment_of(model)
    source, talk = source_of(model), attachment.talk.get_attachment(SOURCE)
    if source is None or not isinstance(talk, TalkSource):
        raise InputError(
            "model: EverTalk Parallel loads the weights once more for each GPU, and this MODEL does not tell "
            "from which file it came. Load it with EverTalk Model Loader, or set gpus to 1."
        )
    check_connected(model, attachment)
    check_patches(model)
    return Recipe(
        base=str(source.path),
        quantization=source.quantization.value,
        talk=str(talk.path),
        talk_in_fp8=talk.in_fp8,
        mode=attachment.mode,
        compute=name_of_dtype(computed_in(model)),
        compile_blocks=attachment.compile_blocks,
    )


def check_connected(model: ModelPatcher, attachment: AudioAttachment) -> None:
    """Refuse what other nodes put inside of the transformer, and what only one process can do.

    Raises:
        InputError: names it.
    """
    check_options(model.model_options["transformer_options"])
    check_budget_on_ranks(attachment.attention_budget)
    for key, wrappers in model.wrappers.get(WrappersMP.DIFFUSION_MODEL, {}).items():
        if key not in (KEY, PARALLEL_KEY) and wrappers:
            raise InputError(
                f"model: a node wraps the transformer ({name_of(wrappers[0])}), which the processes on the "
                f"other GPUs do not have. {INSTEAD}"
            )
    if model.injections or model.hook_patches or model.weight_wrapper_patches:
        raise InputError(
            "model: a node changes the weights while the model runs (hooks or injections), which the "
            f"processes on the other GPUs do not have. {INSTEAD}"
        )


def key_of(model: ModelPatcher, recipe: Recipe) -> str:
    """What tells whether workers still hold a MODEL: its recipe, its changes, and its files as they are.

    Raises:
        InputError: a file is gone.
    """
    try:
        stamps = [file_stamp(Path(path)) for path in (recipe.base, recipe.talk)]
    except OSError as error:
        raise InputError(
            f"model: {error.filename} cannot be read any more ({reason_of(error)}), and EverTalk Parallel "
            "loads it once more for each GPU. Put it back, or set gpus to 1."
        ) from error
    return fingerprint(recipe.said(), str(model.patches_uuid), replaced_parts(model), str(stamps))


def with_changes(recipe: Recipe, model: ModelPatcher, file: Path) -> Recipe:
    """The whole recipe, the tensors of a MODEL's changes in a file."""
    return replace(recipe, patches=write_patches(model, file))
