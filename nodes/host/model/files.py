"""Finds model files in ComfyUI's folders and refuses the wrong ones before any weight loads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import folder_paths

from ....multitalk.common.errors import ModelFileError
from ....multitalk.model.checkpoint import BaseSize, TalkConfig, check_fits, read_talk_config, talk_layers
from ....wanvideo.checkpoint import GGUF_SUFFIX, read_header
from ....wanvideo.checkpoint_kind import CheckpointDescription, describe_checkpoint
from ....wanvideo.checkpoint_layout import CheckpointKind, folder_of
from ....wanvideo.errors import CheckpointError
from ..compat.quantised import check_formats

BASE_LABEL = "base_model"
TALK_LABEL = "talk_model"
BASE_FOLDERS = ("diffusion_models",)
TALK_FOLDERS = ("model_patches", "diffusion_models")

WANTED_BASE = "a Wan 2.1 I2V 14B model"
WANTED_TALK = "an InfiniteTalk or MultiTalk model"

_T = TypeVar("_T")


def list_base_files() -> list[str]:
    """Names of the files that ComfyUI lists as diffusion models."""
    return folder_paths.get_filename_list(BASE_FOLDERS[0])


def list_talk_files() -> list[str]:
    """Names of the files that may be talk models: model patches, then diffusion models, with GGUF."""
    names: dict[str, None] = {}
    for folder in TALK_FOLDERS:
        names |= dict.fromkeys(sorted([*folder_paths.get_filename_list(folder), *_gguf_files(folder)]))
    return list(names)


def find_model_file(label: str, name: str, folders: Sequence[str]) -> Path:
    """The path of the file `name`, as a combo lists it, in the first of ComfyUI's `folders` that has it.

    Args:
        label: what the file is chosen as; begins the message.
        name: file name, with its subfolder if it is in one.
        folders: ComfyUI's names of the folders, e.g. `diffusion_models`.

    Raises:
        ModelFileError: no folder has it.
    """
    for folder in folders:
        found = folder_paths.get_full_path(folder, name)
        if found is not None:
            return Path(found)
    looked_in = ", ".join(path for folder in folders for path in folder_paths.get_folder_paths(folder))
    raise ModelFileError(
        f"{label}: there is no file `{name}` in {looked_in}. Put it there and refresh (key R), or choose "
        "another."
    )


def file_stamp(path: Path) -> tuple[str, int, int]:
    """What changes when another file is put in the place of this one; for nodes' fingerprint_inputs.

    The bytes are not read: weights have tens of gigabytes.
    """
    stat = path.stat()
    return str(path), stat.st_mtime_ns, stat.st_size


def check_base_file(path: Path) -> CheckpointDescription:
    """What the base model at `path` is, read from its header; only Wan 2.1 image-to-video passes.

    Raises:
        ModelFileError: unreadable, a pickle, damaged, another kind of model, or quantised in a form that this
            ComfyUI does not know.
    """
    return with_label(BASE_LABEL, lambda: _describe_base(path))


def check_talk_file(path: Path, base: BaseSize | None) -> TalkConfig:
    """The sizes of the talk model at `path`, read from its header; it must fit the `base`, if that is known.

    Raises:
        ModelFileError: unreadable, a pickle, damaged, another kind of model, made for another base, or
            quantised in a form that this ComfyUI does not know.
    """
    return with_label(TALK_LABEL, lambda: _read_talk(path, base))


def check_readable(label: str, path: Path) -> None:
    """Refuse a pickle or a damaged file, by its header; what is in it does not matter.

    Raises:
        ModelFileError: unreadable, a pickle, or damaged.
    """
    with_label(label, lambda: read_header(path))


def base_size(description: CheckpointDescription) -> BaseSize:
    """The size of a base model that check_base_file has passed."""
    assert description.wan is not None, "a Wan transformer has sizes"
    return BaseSize(description.file_name, description.wan.dim, description.wan.num_layers)


def with_label(label: str, read: Callable[[], _T]) -> _T:
    """What `read` gives; its CheckpointError becomes a ModelFileError that begins with `label`.

    Raises:
        ModelFileError: `read` raised CheckpointError.
    """
    try:
        return read()
    except CheckpointError as error:
        raise ModelFileError(f"{label}: {error}") from error


def _describe_base(path: Path) -> CheckpointDescription:
    header = read_header(path)
    description = describe_checkpoint(header)
    if description.kind is not CheckpointKind.WAN21_I2V:
        raise _wrong_kind(description, WANTED_BASE, "models/diffusion_models")
    if header.is_gguf:
        raise CheckpointError(
            f"`{path.name}` is a GGUF file, which ComfyUI's own loader cannot read. Load it with the GGUF "
            "pack's loader and connect EverTalk Apply, or choose a .safetensors file."
        )
    check_formats(path.name, description.layers, is_audio=False)
    return description


def _read_talk(path: Path, base: BaseSize | None) -> TalkConfig:
    header = read_header(path)
    description = describe_checkpoint(header)
    if not description.has_talk_weights:
        raise _wrong_kind(description, WANTED_TALK, "models/model_patches")
    config = read_talk_config(header, description)
    layers = talk_layers(description)
    check_formats(path.name, layers, is_audio=True)
    if base is not None:
        check_fits(base, path.name, config)
    return config


def _wrong_kind(description: CheckpointDescription, wanted: str, folder: str) -> CheckpointError:
    """Says what the file is instead, where it belongs, and what to choose."""
    belongs = folder_of(description.kind)
    move = f"put it into {belongs} and " if belongs not in (None, folder) else ""
    return CheckpointError(
        f"`{description.file_name}` is {description.kind.value} ({description.evidence}); "
        f"{move}choose {wanted} here."
    )


def _gguf_files(folder: str) -> list[str]:
    """Names of the GGUF files in a folder; ComfyUI's own list leaves them out."""
    return [
        str(path.relative_to(root))
        for root in folder_paths.get_folder_paths(folder)
        for path in Path(root).rglob(f"*{GGUF_SUFFIX}")
    ]
