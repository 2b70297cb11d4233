"""Makes the pack importable as evertalk_pack and the host importable, from a bare checkout without pytest."""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def name_pack() -> None:
    """Name the checkout's packages; the host is not needed for those below nodes/."""
    spec = importlib.machinery.ModuleSpec("evertalk_pack", None, is_package=True)
    spec.submodule_search_locations = [str(ROOT)]
    sys.modules["evertalk_pack"] = importlib.util.module_from_spec(spec)


def prepare(*, use_cpu: bool) -> None:
    """Put the host on the path and name the checkout's packages; call before importing either."""
    sys.path.insert(0, os.environ.get("COMFYUI_DIR") or str(ROOT / ".cache" / "ComfyUI"))
    name_pack()
    arguments, sys.argv = sys.argv, sys.argv[:1]  # the host parses the command line when it is imported
    from comfy.cli_args import args

    sys.argv = arguments
    args.cpu = use_cpu
