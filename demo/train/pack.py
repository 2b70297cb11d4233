"""Makes the pack importable as `evertalk_pack` without ComfyUI: its root __init__.py is not executed."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def register_pack() -> None:
    """Let `import evertalk_pack.multitalk` find the pack's folder; nothing if it is registered."""
    if "evertalk_pack" in sys.modules:
        return
    spec = importlib.machinery.ModuleSpec("evertalk_pack", None, is_package=True)
    spec.submodule_search_locations = [str(ROOT)]
    sys.modules["evertalk_pack"] = importlib.util.module_from_spec(spec)


register_pack()
