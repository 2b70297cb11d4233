"""Prepared text embeddings as files: one prompt's encoding, so that no text encoder need be loaded for it."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import folder_paths
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ....multitalk.common.atomic_file import make_safe_folder, write_whole
from ....multitalk.common.errors import InputError, ModelFileError
from ....multitalk.common.safe_path import checked_prefix
from ....wanvideo.checkpoint import read_header
from ....wanvideo.checkpoint_kind import describe_checkpoint
from ....wanvideo.header_limits import bounded_json
from ..model.files import with_label

FOLDER = "evertalk_text_embeds"
"""Folder of prepared prompts, below ComfyUI's models (read) and output (read and written)."""

OUTPUT_MARK = " [output]"
SUFFIX = ".safetensors"
TENSOR = "cross_attn"
METADATA_KEY = "evertalk_text_embeds"
FORMAT_VERSION = 1
FLOAT_DTYPES = ("F16", "BF16", "F32")
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Conditioning = list[tuple[torch.Tensor, dict[str, Any]]]

logger = logging.getLogger("evertalk")


def list_text_embeds() -> list[str]:
    """Names of the prepared prompts: those of the models folders, then those saved, marked ` [output]`."""
    listed = sorted({path.name for folder in _models_folders() for path in folder.glob(f"*{SUFFIX}")})
    return listed + sorted(f"{path.name}{OUTPUT_MARK}" for path in _output_folder().glob(f"*{SUFFIX}"))


def find_text_embeds(name: str) -> Path:
    """The path of the prepared prompt that `list_text_embeds` names so.

    Raises:
        ModelFileError: no folder has it, or the name is not a plain file name.
    """
    folders = [_output_folder()] if name.endswith(OUTPUT_MARK) else _models_folders()
    bare = name.removesuffix(OUTPUT_MARK)
    for folder in folders:
        path = folder / bare
        if Path(bare).name == bare and path.is_file():
            return path
    looked_in = ", ".join(str(folder) for folder in folders)
    raise ModelFileError(f"file: there is no `{bare}` in {looked_in}. Put it there, or choose another.")


def load_text_embeds(path: Path) -> Conditioning:
    """The prepared prompt at `path` as CONDITIONING, (1, tokens, width).

    Raises:
        ModelFileError: damaged, a pickle, another kind of file, of another shape, or with numbers not finite.
    """
    header = with_label("file", lambda: read_header(path))
    info = header.tensors.get(TENSOR)
    if info is None:
        kind = describe_checkpoint(header).kind.value
        raise ModelFileError(
            f"file: `{path.name}` is {kind} and holds no `{TENSOR}`: choose a file that this node saved."
        )
    _check_version(path, header.metadata.get(METADATA_KEY))
    shape = info.shape if len(info.shape) == 3 else (1, *info.shape)
    if info.dtype not in FLOAT_DTYPES or len(shape) != 3 or shape[0] != 1 or 0 in shape:
        raise ModelFileError(
            f"file: `{TENSOR}` in `{path.name}` is {info.dtype} {list(info.shape)}; expected one prompt, "
            f"(tokens, width), as {', '.join(FLOAT_DTYPES)}. Save it again with this node."
        )
    try:
        cross_attn = load_file(path)[TENSOR].reshape(shape)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"file: `{path.name}` cannot be read: {error}. Save it again.") from error
    if not bool(torch.isfinite(cross_attn).all()):
        raise ModelFileError(f"file: `{path.name}` holds numbers that are not finite. Save it again.")
    return [(cross_attn, {"pooled_output": None})]


def save_text_embeds(conditioning: Conditioning, save_as: str) -> Path:
    """Write a prompt's encoding to ComfyUI's output folder; an older file of the same name is replaced.

    Raises:
        InputError: the name or the conditioning cannot be used.
    """
    path = _path_for(save_as)
    cross_attn = _only_entry(conditioning)
    about = json.dumps({"version": FORMAT_VERSION})
    content = save({TENSOR: cross_attn.detach().cpu().contiguous()}, {METADATA_KEY: about})
    try:
        make_safe_folder(path.parent)
        write_whole(path, content)
    except OSError as error:
        raise InputError(
            f"save_as: {path} cannot be written ({error.strerror or error}). Correct that, or use another "
            "name."
        ) from error
    logger.info("text embeddings %s saved to %s", tuple(cross_attn.shape), path)
    return path


def _path_for(save_as: str) -> Path:
    """The file of that name; the folder it is in may be a link, but not out of the output folder."""
    root = Path(folder_paths.get_output_directory())
    place = checked_prefix(f"{FOLDER}/{_checked_name(save_as)}", root, "save_as")
    return place.folder / f"{place.name}{SUFFIX}"


def _checked_name(save_as: str) -> str:
    name = save_as.strip().removesuffix(SUFFIX)
    if NAME_PATTERN.fullmatch(name) is None:
        raise InputError(
            f"save_as: `{save_as[:100]}` cannot be a file name here; use letters, digits, `.`, `_` and `-`, "
            "beginning with a letter or digit, at most 100, and no folder."
        )
    return name


def _only_entry(conditioning: Conditioning) -> torch.Tensor:
    if len(conditioning) != 1:
        raise InputError(
            f"conditioning: it has {len(conditioning)} entries, and a file holds one prompt. Connect a text "
            "encode node directly."
        )
    cross_attn, options = conditioning[0]
    if cross_attn.ndim != 3 or cross_attn.shape[0] != 1 or not bool(torch.isfinite(cross_attn).all()):
        raise InputError(
            f"conditioning: expected one prompt of finite numbers, (1, tokens, width), not "
            f"{tuple(cross_attn.shape)}. Connect a text encode node directly."
        )
    lost = sorted(key for key, value in options.items() if value is not None)
    if lost:
        logger.warning("conditioning: %s are not saved, only the text is", ", ".join(lost))
    return cross_attn


def _check_version(path: Path, about: str | None) -> None:
    """Files of others (no remark of ours) pass; a newer format does not."""
    try:
        version = FORMAT_VERSION if about is None else bounded_json(about)["version"]
    except (ValueError, KeyError, TypeError):
        version = None
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"file: `{path.name}` has format version {version}; this EverTalk reads {FORMAT_VERSION}. Update "
            "EverTalk, or save it again."
        )


def _models_folders() -> list[Path]:
    """The models folder of ours, registered here so that extra_model_paths.yaml can add to it."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    return [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]


def _output_folder() -> Path:
    return Path(folder_paths.get_output_directory()) / FOLDER
