"""Turns a workflow of WanVideoWrapper, or of ComfyUI's InfiniteTalk nodes, into one of EverTalk.

    python tools/convert_wrapper.py workflow.json --server http://127.0.0.1:8188 --output converted.json

The workflow may also be in a picture or video that ComfyUI made: PNG, WebP, mp4 and other videos (for videos
run it with ComfyUI's Python, which has PyAV).

Asks a running ComfyUI which nodes and files it has, writes a workflow in API format, and lists what could not
be carried over, was changed, or is not needed. The editor does the same: menu Extensions, EverTalk. With
--editor the file is in the editor's own form. The exit code is 1 if something was lost, 2 if nothing was
made.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import sys
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts")]
# The checkout's packages under one name, whatever its folder is called; its root needs a running ComfyUI.
_spec = importlib.machinery.ModuleSpec("evertalk_pack", None, is_package=True)
_spec.submodule_search_locations = [str(ROOT)]
sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
from evertalk_pack.convert.conversion import Conversion, convert  # noqa: E402
from evertalk_pack.convert.remarks import Level  # noqa: E402
from evertalk_pack.convert.stored import HEAD_BYTES, is_media, stored_workflow  # noqa: E402
from evertalk_pack.multitalk.common.errors import InputError  # noqa: E402
from evertalk_pack.multitalk.common.name_tokens import TokenValues, expanded  # noqa: E402
from evertalk_pack.multitalk.common.safe_path import checked_parts  # noqa: E402

TIMEOUT_S = 60
SIDE_PX = 1024
"""In place of a side that a name may hold."""

LOSS, REFUSED = 1, 2
CONVERTED = "Converted to EverTalk. What was not carried over as it was:\n"


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description="Convert a workflow of WanVideoWrapper, or of ComfyUI's InfiniteTalk nodes, to EverTalk."
    )
    forms = "JSON of the editor or of the API, or a PNG, WebP or video that holds it"
    parser.add_argument("workflow", type=Path, help=forms)
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--server", default="http://127.0.0.1:8188", help="address of a running ComfyUI")
    parser.add_argument("--object-info", type=Path, help="instead of a server: its /object_info in a file")
    parser.add_argument("--editor", action="store_true", help="write the editor's form instead of the API's")
    return parser.parse_args(arguments)


def object_info(chosen: argparse.Namespace) -> dict[str, Any]:
    """The nodes of the ComfyUI that is to run the workflow. Raises OSError if none answers."""
    if chosen.object_info:
        return json.loads(chosen.object_info.read_text(encoding="utf-8"))
    try:
        with urllib.request.urlopen(f"{chosen.server.rstrip('/')}/object_info", timeout=TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.URLError as error:
        raise OSError(
            f"no ComfyUI answers at {chosen.server} ({error.reason}). Start it, or give its address by "
            "--server"
        ) from error


def read_workflow(path: Path) -> object:
    """The workflow in a file: JSON, or a picture or video that ComfyUI made.

    Raises:
        ValueError: it holds none.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        if is_media(head):
            return stored_workflow(file)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is neither JSON nor a PNG, WebP or video ({error}). Choose the workflow's own file, or "
            "one of these that ComfyUI made"
        ) from error


def name_rule(prefix: str) -> str:
    """What EverTalk Sampler would say against a filename_prefix; empty if it takes it."""
    values = TokenValues(datetime.now().astimezone(), SIDE_PX, SIDE_PX, lambda _node, _widget: "value")
    try:
        checked_parts(expanded(prefix, values))
    except InputError as error:
        return str(error)
    return ""


def text_of(conversion: Conversion, info: dict[str, Any], chosen: argparse.Namespace) -> str:
    """The file's text in the form that was asked for."""
    workflow: dict[str, Any] = conversion.workflow
    if chosen.editor:
        from make_workflows import GraphBuilder  # noqa: PLC0415  # imports the demo's client

        note = "\n".join([CONVERTED, *(f"- {remark}" for remark in conversion.remarks)])
        workflow = GraphBuilder(workflow, info).build(chosen.output.stem, note)
    return json.dumps(workflow, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Convert; the exit code says how well that went."""
    chosen = read_arguments(arguments)
    try:
        info = object_info(chosen)
        conversion = convert(read_workflow(chosen.workflow), info, name_rule)
    except (ValueError, OSError) as error:  # ConvertError and what is not JSON or no UTF-8 among them
        print(f"convert: {error}", file=sys.stderr)
        return REFUSED
    chosen.output.write_text(text_of(conversion, info, chosen), encoding="utf-8", newline="\n")
    for remark in conversion.remarks:
        print(remark)
    print(f"convert: {chosen.output} has {len(conversion.workflow)} nodes")
    return LOSS if any(remark.level is Level.LOST for remark in conversion.remarks) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
