"""Runs pyright on the whole project against one ComfyUI and the environment that this Python belongs to."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import tomllib

ROOT = Path(__file__).resolve().parent.parent
PINNED = ".cache/ComfyUI"


def settings_for(comfyui: Path) -> dict[str, Any]:
    """The project's settings of pyright with this ComfyUI in the pinned one's place, as seen from .cache."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    del settings["venvPath"], settings["venv"]  # the Python is named on the command line
    settings["extraPaths"] = [
        str(comfyui) if path == PINNED else f"../{path}" for path in settings["extraPaths"]
    ]
    for environment in settings["executionEnvironments"]:
        environment["root"] = f"../{environment['root']}"
    for name in ("include", "exclude"):
        settings[name] = [path if path.startswith("**") else f"../{path}" for path in settings[name]]
    return settings


def main() -> int:
    """Run it; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, required=True, help="the folder of ComfyUI")
    chosen = parser.parse_args()
    pyright = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    if chosen.comfyui.resolve() == (ROOT / PINNED).resolve():
        return subprocess.run(pyright, cwd=ROOT, check=False).returncode
    project = ROOT / ".cache" / "pyrightconfig.json"
    project.write_text(json.dumps(settings_for(chosen.comfyui.resolve())))
    return subprocess.run([*pyright, "--project", str(project)], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
