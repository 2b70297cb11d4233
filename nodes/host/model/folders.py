"""Model folders in ComfyUI's lists: one name for a model that is in several files.

ComfyUI lists files alone, the parts of a model one by one; no part is a model that anything could load.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import folder_paths

from ....wanvideo.model_folder import WEIGHTS_SUFFIX, is_folder_of_weights, is_model_folder, is_shard


def with_folders(kind: str, names: Sequence[str]) -> list[str]:
    """A list of ComfyUI's, sorted, with model folders in the place of their numbered parts.

    Args:
        kind: ComfyUI's name of the folder that is listed, e.g. `diffusion_models`.
        names: what it lists there.
    """
    parents = {os.path.dirname(name) for name in names if name.endswith(WEIGHTS_SUFFIX)} - {""}  # noqa: PTH120
    roots = [Path(root) for root in folder_paths.get_folder_paths(kind)]
    folders = {one for one in parents if any(is_model_folder(root / one) for root in roots)}
    files = [name for name in names if not _is_part(name, folders)]
    return sorted([*files, *folders])


def folder_at(kind: str, name: str) -> Path | None:
    """The folder of weights `name` in ComfyUI's folder `kind`, or None; never outside of that."""
    inside = os.path.relpath(os.path.join("/", name), "/")  # noqa: PTH118  as the host makes names of files safe
    if inside == os.curdir:
        return None
    paths = (Path(root) / inside for root in folder_paths.get_folder_paths(kind))
    return next((path for path in paths if is_folder_of_weights(path)), None)


def _is_part(name: str, folders: set[str]) -> bool:
    folder, file = os.path.split(name)
    return folder in folders and is_shard(file)
