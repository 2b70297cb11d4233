"""A ComfyUI other than the pinned one: its release, its requirements, and how to get it by a git tag."""

import ast
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from setup_step import SetupError, run, say

CORE_URL = "https://github.com/comfyanonymous/ComfyUI"

ITS_OWN = re.compile(r"comfy")
"""The packages that each ComfyUI pins itself (its frontend, its kernels): no pin of ours holds for them."""


@dataclass(frozen=True)
class Core:
    """A ComfyUI on this disk.

    Attributes:
        folder: where its main.py lies.
        version: what its comfyui_version.py says.
    """

    folder: Path
    version: str

    @property
    def requirements(self) -> Path:
        """What it asks pip for."""
        return self.folder / "requirements.txt"


def core_in(folder: Path) -> Core:
    """The ComfyUI in a folder.

    Raises:
        SetupError: there is none, or it does not say its release.
    """
    if not (folder / "main.py").is_file():
        raise SetupError(
            f"HOST_COMFYUI={folder} holds no main.py: give the folder that ComfyUI itself lies in, or get "
            "one by its tag: make host CORE_TAG=v0.33.0"
        )
    file = folder / "comfyui_version.py"
    found = re.search(r"^__version__ = (.+)$", file.read_text(), re.MULTILINE) if file.is_file() else None
    if found is None or not (folder / "requirements.txt").is_file():
        raise SetupError(
            f"HOST_COMFYUI={folder} has no release in comfyui_version.py, or no requirements.txt: its copy "
            "is not whole. Get it anew: make host CORE_TAG=v0.33.0"
        )
    return Core(folder.resolve(), ast.literal_eval(found[1]))


def clone(tag: str, url: str, folder: Path) -> None:
    """Clone one tag of ComfyUI, without its history, into a folder that appears only when it is whole.

    Raises:
        SetupError: there is no git, no network or no such tag.
    """
    if (folder / "main.py").is_file():
        say(f"ComfyUI {tag} is there")
        return
    if shutil.which("git") is None:
        raise SetupError(
            "CORE_TAG needs git: install it, or download that release yourself and give its folder: "
            "HOST_COMFYUI=/path/to/ComfyUI"
        )
    say(f"downloading ComfyUI {tag} from {url}")
    partial = folder.with_name("part")
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run(["git", "clone", "--quiet", "--depth", "1", "--branch", tag, url, str(partial)], f"Cloning {tag}")
    partial.rename(folder)


def commit_of(folder: Path) -> str:
    """The git commit of a checkout, shortened; empty where git knows none."""
    command = ["git", "-C", str(folder), "log", "-1", "--format=%h"]
    done = (
        subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("git") else None
    )
    return done.stdout.strip() if done is not None and (folder / ".git").exists() else ""


def constraints(pins: list[Path]) -> str:
    """Our pins but for the packages that each ComfyUI pins itself, as a constraints file of pip's."""
    lines = [line for file in pins for line in file.read_text().splitlines()]
    kept = [line for line in lines if line and not line.startswith("#") and not ITS_OWN.match(line)]
    return "\n".join(re.sub(r"\[\w+\]", "", line) for line in kept) + "\n"
