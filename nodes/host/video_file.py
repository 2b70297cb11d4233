"""Where a run's files go in the host's output folder, and what is written into them about the run."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args

from ...multitalk.run_folder import RunPlace
from ...multitalk.safe_path import checked_parts, checked_prefix

TIME_TOKENS = re.compile(r"[-_. ]?%(?:year|month|day|hour|minute|second)%")
"""The host's words for the time in a prefix, with what sets them off from the rest."""

NAMELESS = "run"
SAMPLER = "EverTalkSampler"


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that is no file name within the host's output folder.

    Raises:
        InputError: the prefix is empty or leads out of the output folder.
    """
    checked_prefix(prefix, Path(folder_paths.get_output_directory()))


def run_place(prefix: str, width_px: int, height_px: int) -> RunPlace:
    """Where a run's files go.

    The video's name may hold the time (%year%), as the host's own nodes allow. The run's folder does not: the
    same run, queued tomorrow, has to be found again.

    Raises:
        InputError: the prefix is empty or leads out of the output folder.
    """
    root = Path(folder_paths.get_output_directory())
    check_prefix(prefix)
    sized = prefix.replace("%width%", str(width_px)).replace("%height%", str(height_px))
    parts = [lasting_name(part) for part in checked_parts(sized)]
    lasting = "/".join(part for part in (*parts[:-1], parts[-1] or NAMELESS) if part)
    dated = folder_paths.get_save_image_path(sized, str(root), width_px, height_px)[4]
    return RunPlace(root, checked_prefix(lasting, root), checked_prefix(dated, root))


def lasting_name(name: str) -> str:
    """A name without the time, and without what set it off."""
    without = TIME_TOKENS.sub("", name)
    return name if without == name else without.strip(" ._-")


def run_metadata(prompt: Any, extra_pnginfo: Mapping[str, Any] | None) -> dict[str, str]:
    """The workflow and prompt as the host writes them into files; empty when the user switched that off."""
    if args.disable_metadata:
        return {}
    entries = dict(extra_pnginfo or {})
    if prompt is not None:
        entries["prompt"] = {node_id: without_review(node) for node_id, node in prompt.items()}
    return {key: json.dumps(value) for key, value in entries.items()}


def without_review(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """A sampler as it was queued: how often it has paused must not show in its video."""
    if node.get("class_type") != SAMPLER:
        return node
    return {name: value for name, value in node.items() if name != "is_changed"}
