"""Names of output files and what is written into them about the run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args

from ...multitalk.errors import InputError


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that is no file name within the host's output folder.

    Raises:
        InputError: the prefix is empty or leads out of the output folder.
    """
    if not prefix.strip() or "\0" in prefix or "\\" in prefix:
        raise InputError(f"filename_prefix: {prefix!r} is no file name. Use something like EverTalk/talk.")
    root = Path(folder_paths.get_output_directory()).resolve()
    path = Path(prefix)
    leads_out = path.is_absolute() or ":" in prefix or ".." in path.parts
    # The folder is resolved too: a link in the output folder may lead out of it.
    if leads_out or not (root / path).parent.resolve().is_relative_to(root):
        raise InputError(
            f"filename_prefix: {prefix!r} leads out of the output folder {root}. Use a name or a subfolder "
            "of it, like EverTalk/talk."
        )


def output_file(prefix: str, width_px: int, height_px: int) -> Path:
    """The next free mp4 name for a prefix within the host's output folder; its folder exists afterwards.

    Raises:
        InputError: the prefix is empty or leads out of the output folder.
    """
    check_prefix(prefix)
    root = folder_paths.get_output_directory()
    folder_name, name, counter, _, _ = folder_paths.get_save_image_path(prefix, root, width_px, height_px)
    return Path(folder_name) / f"{name}_{counter:05}_.mp4"


def run_metadata(prompt: Any, extra_pnginfo: Mapping[str, Any] | None) -> dict[str, str]:
    """The workflow and prompt as the host writes them into files; empty when the user switched that off."""
    if args.disable_metadata:
        return {}
    entries = dict(extra_pnginfo or {})
    if prompt is not None:
        entries["prompt"] = prompt
    return {key: json.dumps(value) for key, value in entries.items()}
