"""The demo's hand-wired tiny models, made once in a process and copied to each server that needs them."""

import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

MAKE_TINY = Path(__file__).resolve().parents[2] / "demo" / "make_tiny.py"


def put_wired_models(models: Path) -> None:
    """Copy them into a models folder, as `make_tiny.py --wired` would write them there."""
    shutil.copytree(_made().name, models, dirs_exist_ok=True)


@cache
def _made() -> "tempfile.TemporaryDirectory[str]":
    """The folder that holds them; it goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="evertalk-wired-")
    subprocess.run([sys.executable, str(MAKE_TINY), "--wired", "--models", folder.name], check=True)
    return folder
